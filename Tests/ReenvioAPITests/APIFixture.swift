import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import NIOPosix
import ReenvioAPI
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// The real API on a new store, without a socket: two accounts with a merchant each, three keys.
struct APIFixture: Sendable {
    struct Reply: Sendable, Equatable {
        var status: Int
        var body: String
        var headers: HTTPFields

        func header(_ name: String) -> String? {
            HTTPField.Name(name).flatMap { headers[$0] }
        }
    }

    enum Credential: Sendable {
        case none, operatorKey, ownKey, otherKey
        case text(String)
        case token(AccessToken)
    }

    static let merchantID: Int64 = 303
    static let otherMerchantID: Int64 = 404

    let store: Store
    let clock: ManualClock
    let table: RouteTable
    /// Method, path and access of the dashboard's pages.
    let pages: [Endpoint]
    private let engine: Engine
    private let keys: (operator: String, own: String, other: String)
    private let client: any TestClientProtocol

    /// Runs `body` against a running API.
    static func run(
        limits: RateLimits = .off, probes: [Endpoint] = [], transport: ScriptedTransport = ScriptedTransport(),
        _ body: @Sendable @escaping (APIFixture) async throws -> Void
    ) async throws {
        let folder = try ScratchFolder()
        let store = try await Fixtures.store(in: folder)
        let other = try await store.createAccount(name: "Other", actor: "test", now: Fixtures.start)
        let merchant = NewMerchant(
            id: otherMerchantID, accountID: other, name: "Other shop", signingSecret: try Fixtures.signingSecret)
        _ = try await store.createMerchant(merchant, actor: "test", now: Fixtures.start)
        let keys = (
            operator: try await key(store, account: nil), own: try await key(store, account: Fixtures.accountID),
            other: try await key(store, account: other)
        )
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let clock = ManualClock()
        let engine = Engine(
            store: store, transport: transport,
            options: EngineOptions(
                schedule: RetrySchedule(waits: [.seconds(86_400)]), policy: AddressPolicy(), resendBacklogMax: 1_000_000
            ),
            clock: clock, entropy: SystemEntropy(), logger: logger)
        let readiness = Readiness(store: store, patience: .seconds(120))
        let loops = MultiThreadedEventLoopGroup.singleton
        let server = APIServer(
            engine, readiness: readiness,
            options: APIServer.Options(rateLimits: limits, publicURL: PublicURL("https://api.example.com")))
        let application = Application(
            responder: APIServer.responder(
                server.gateway.router(
                    for: RouteTable(server.table.endpoints + probes), dashboard: server.dashboard)),
            services: [
                PollLoop(engine.intake, clock: clock, on: loops.any(), logger: logger),
                PollLoop(readiness, clock: clock, on: loops.any(), logger: logger),
            ],
            logger: logger)
        try await application.test(.router) { client in
            try await body(
                APIFixture(
                    store: store, clock: clock, table: server.table, pages: server.dashboard.endpoints, engine: engine,
                    keys: keys, client: client))
        }
    }

    private init(
        store: Store, clock: ManualClock, table: RouteTable, pages: [Endpoint], engine: Engine,
        keys: (operator: String, own: String, other: String), client: any TestClientProtocol
    ) {
        self.store = store
        self.clock = clock
        self.table = table
        self.pages = pages
        self.engine = engine
        self.keys = keys
        self.client = client
    }

    /// Steps the dispatcher until it has nothing to do.
    func dispatch() async throws {
        for _ in 0..<1_000 {
            if case .wait = try await engine.dispatcher.step(now: clock.now) { return }
        }
    }

    /// A key of the first account with these scopes, addresses and merchants.
    func key(
        _ scopes: [Scope] = Scope.defaults, cidrs: [String] = [], merchants: Set<Int64>? = nil
    ) async throws -> Credential {
        let cidrs = cidrs.compactMap { CIDR($0) }
        let key = try await Self.key(store, account: Fixtures.accountID, scopes, cidrs, merchants)
        return .text("Bearer " + key)
    }

    /// An operator key with these scopes only.
    func operatorKey(_ scopes: [Scope]) async throws -> Credential {
        .text("Bearer " + (try await Self.key(store, account: nil, scopes)))
    }

    /// A user of the first account, or of another.
    func user(
        id: Int64? = nil, accountID: Int64 = Fixtures.accountID, merchants: Set<Int64>? = nil
    ) async throws -> (id: Int64, credentials: ClientCredentials) {
        var generator = SystemRandomNumberGenerator()
        let user = NewUser(
            id: id, accountID: accountID, merchants: merchants, credentials: ClientCredentials(using: &generator))
        let made = try await store.createUser(user, by: Requester(actor: "test"), now: Fixtures.start)
        return (made, user.credentials)
    }

    /// What the token endpoint answers to a pair.
    func signIn(_ credentials: ClientCredentials, path: String = "/v2/finance/auth-token") async throws -> Reply {
        let body = #"{"client_id":"\#(credentials.clientID)","client_secret":"\#(credentials.secret)"}"#
        return try await call(.post, path, body, as: .none)
    }

    /// A user's access token, from the token endpoint.
    func token(of credentials: ClientCredentials) async throws -> Credential {
        .token(try AccessToken(answer: try await signIn(credentials).body))
    }

    private static func key(
        _ store: Store, account: Int64?, _ scopes: [Scope]? = nil, _ cidrs: [CIDR] = [],
        _ merchants: Set<Int64>? = nil
    ) async throws -> String {
        var generator = SystemRandomNumberGenerator()
        let text = APIKeyText(using: &generator)
        let key = APIKey(
            id: text.id, name: "test", accountID: account, scopes: scopes ?? Scope.defaults,
            hasEveryScope: account == nil && scopes == nil, merchants: merchants, cidrs: cidrs, expiresAt: nil,
            revokedAt: nil, createdAt: Fixtures.start)
        try await store.createKey(key, text: text, actor: "test", now: Fixtures.start)
        return text.text
    }

    func call(
        _ method: HTTPRequest.Method, _ path: String, _ body: String? = nil, as credential: Credential = .ownKey,
        contentType: String? = "application/json", headers: [String: String] = [:]
    ) async throws -> Reply {
        try await call(
            method, path, bytes: body.map { Array($0.utf8) }, as: credential, contentType: contentType,
            headers: headers)
    }

    func call(
        _ method: HTTPRequest.Method, _ path: String, bytes: [UInt8]?, as credential: Credential = .ownKey,
        contentType: String? = "application/json", headers more: [String: String] = [:]
    ) async throws -> Reply {
        var headers = HTTPFields()
        headers[.contentType] = contentType
        for (name, value) in more {
            if let name = HTTPField.Name(name) { headers[name] = value }
        }
        switch credential {
        case .none: break
        case .operatorKey: headers[.authorization] = "Bearer \(keys.operator)"
        case .ownKey: headers[.authorization] = "Bearer \(keys.own)"
        case .otherKey: headers[.authorization] = "Bearer \(keys.other)"
        case .text(let text): headers[.authorization] = text
        case .token(let token): headers[.authorization] = "Bearer \(token.text)"
        }
        let response = try await client.execute(
            uri: path, method: method, headers: headers, body: bytes.map { ByteBuffer(bytes: $0) })
        return Reply(
            status: response.status.code, body: String(buffer: response.body), headers: response.headers)
    }

    /// The text of one of the keys.
    func keyText(_ credential: Credential) -> String {
        switch credential {
        case .operatorKey: keys.operator
        case .otherKey: keys.other
        case .text(let text): String(text.dropFirst("Bearer ".count))
        default: keys.own
        }
    }

    /// One step of the resend runner, whose loop does not run here.
    func advanceResends() async throws {
        while case .again = try await engine.runner.step(now: clock.now) {}
    }
}
