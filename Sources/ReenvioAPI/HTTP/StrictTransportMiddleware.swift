import HTTPTypes
import Hummingbird

/// Sends `Strict-Transport-Security` (RFC 6797) on every answer if the public URL is https.
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
