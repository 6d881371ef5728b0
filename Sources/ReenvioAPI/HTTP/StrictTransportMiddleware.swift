import HTTPTypes
import Hummingbird

/// Where the outside reaches the server by https, browsers are told never to try without (RFC 6797).
struct StrictTransportMiddleware: RouterMiddleware {
    let publicURL: PublicURL

    private static let name = HTTPField.Name("strict-transport-security")
    private static let year = "max-age=31536000"

    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        var response = try await next(request, context)
        if let name = Self.name, publicURL.isTLS { response.headers[name] = Self.year }
        return response
    }
}
