import HTTPTypes
package import Hummingbird
package import ReenvioEngine
import ReenvioModel

/// The pages for people at `/dashboard`: made here, usable without a script, and clients of the same endpoints as
/// everybody else. Whatever a page does goes through the endpoint that does it, with the scopes and limits of the key
/// that signed in.
package struct Dashboard: Sendable {
    private let desk: Desk

    package init(_ engine: Engine, endpoints: RouteTable, publicURL: PublicURL, audit: CollapsedAudit) {
        desk = Desk(
            engine: engine, endpoints: endpoints, publicURL: publicURL, streams: LiveStreams(), audit: audit)
    }

    var pages: [Page] {
        OverviewPages(desk).pages + PayoutPages(desk).pages + ResendPages(desk).pages + BatchPages(desk).pages
            + JobPages(desk).pages
            + LogPages(desk).pages + ReceiverPages(desk).pages + SettingsPages(desk).pages
    }

    /// Method and path of each page, for the answers to other methods; none is called through this.
    package var endpoints: [Endpoint] {
        pages.map { page in Endpoint(page.method, page.path, page.access) { _ in throw Problem.unknownPath } }
            + [SignIn.path, SignIn.outPath].map { path in
                Endpoint(.post, path, .signIn) { _ in throw Problem.unknownPath }
            }
    }

    /// Registers the pages, their style and their script.
    func register(on router: Router<APIContext>, through gateway: Gateway) {
        let door = Door(desk: desk, gateway: gateway)
        for page in pages {
            router.on(RouterPath(page.path), method: page.method) { request, context in
                await door.answer(request, context) { try await door.open(page, request, context) }
            }
        }
        router.post(RouterPath(SignIn.path)) { request, context in
            await door.answer(request, context) { try await door.signIn(request, context) }
        }
        router.post(RouterPath(SignIn.outPath)) { request, context in
            await door.answer(request, context) { try await door.signOut(request, context) }
        }
        for asset in Asset.all {
            router.get(RouterPath(asset.path)) { _, context in
                asset.answer.response(requestID: context.requestID, logger: context.logger)
            }
        }
    }
}

/// One page, or what one of its buttons does.
struct Page: Sendable {
    var method: HTTPRequest.Method
    var path: String
    /// What the key must be allowed for the page itself: what the endpoint that does the same asks for.
    var access: Access
    /// The bucket that a post takes from beside those of its calls; a page that shows is a read.
    var limit: RateLimits.Kind?
    var handle: @Sendable (Visit) async throws -> Answer

    init(
        _ method: HTTPRequest.Method, _ path: String, _ access: Access, limit: RateLimits.Kind? = nil,
        _ handle: @escaping @Sendable (Visit) async throws -> Answer
    ) {
        self.method = method
        self.path = path
        self.access = access
        self.limit = method == .get ? .read : limit
        self.handle = handle
    }
}

/// A request of somebody who is signed in.
struct Visit: Sendable {
    var key: APIKey
    var token: SessionToken
    var query: [(name: String, value: String)]
    /// The fields of a post, in the order they came.
    var form: [(name: String, value: String)]
    var requestID: String
    var address: IPAddress?
    var parameters: [String: String]
    var gateway: Gateway

    var caller: Caller { .key(key) }
    var accountID: Int64? { key.accountID }

    var requester: Requester {
        Requester(actor: caller.actor, requestID: requestID, address: address?.description)
    }

    /// A query parameter without the blanks around it; nil where it is empty.
    func asked(_ name: String) -> String? {
        Self.last(query, name)
    }

    func field(_ name: String) -> String? {
        Self.last(form, name)
    }

    func fields(_ name: String) -> [String] {
        form.filter { $0.name == name }.map(\.value)
    }

    private static func last(_ pairs: [(name: String, value: String)], _ name: String) -> String? {
        guard let text = pairs.last(where: { $0.name == name })?.value else { return nil }
        let inner = text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed()
        return inner.isEmpty ? nil : String(inner)
    }

    func id(_ name: String, orThrow problem: Problem) throws -> Int64 {
        guard let text = parameters[name], let id = JSONNumber(text)?.integer else { throw problem }
        return id
    }
}
