import Logging
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// An engine with an account mirror, a user, and registrations at scripted receivers.
struct LogFixture {
    static let mirrorID: Int64 = 500
    static let account = AccountName(branch: "0001", number: "900002")

    let base: EngineFixture
    let user: User

    var store: Store { base.store }
    var engine: Engine { base.engine }
    var clock: ManualClock { base.clock }

    init(
        on kind: TestEngine = .standard, schedule: RetrySchedule = .standard,
        transport: ScriptedTransport = ScriptedTransport(),
        logger: Logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        wrapping wrap: (any StoreEngine) -> any StoreEngine = { $0 }
    ) async throws {
        base = try await EngineFixture(
            on: kind, schedule: schedule, transport: transport, logger: logger, wrapping: wrap)
        try await base.store.createMirror(id: Self.mirrorID)
        user = try await base.store.createUser(id: 246)
    }

    /// Registers a URL for a category or a type; returns the registration's id.
    func register(
        _ type: String, at url: String = "https://hooks.example/v3", merchantID: Int64 = mirrorID,
        authorization: String? = nil
    ) async throws -> Int64 {
        let draft = RegistrationDraft(
            url: try ReceiverURL(parsing: url, policy: AddressPolicy()),
            selection: try #require(EventSelection(rawValue: type)), authorizationToken: authorization,
            functionsKey: nil)
        let merchant = try #require(try await store.merchant(id: merchantID, accountID: nil))
        let made = try await store.createRegistration(
            draft, of: merchant, by: Requester(actor: "test"), now: clock.wall)
        return try #require(made.registration).id
    }

    /// Payouts of the mirror, reported as paid now.
    func paid(_ count: Int, prefix: String = "p") async throws -> [Int64] {
        let ids = try await store.createPayouts(
            count, merchantID: Self.mirrorID, prefix: prefix, url: nil, now: clock.wall)
        try await store.report(.paid, ids, at: clock.wall, due: clock.engine)
        return ids
    }

    func qrCode() async throws -> QRCode {
        var data = JSONObject()
        data.set("amount", .number(JSONNumber(Int64(10))))
        data.set("debtor_document", .string("08293847532"))
        return try #require(
            try await engine.createQRCode(
                QRCodeDraft(merchantID: Self.mirrorID, data: QRCode.Data(stored: data))))
    }

    /// Asks for a resend of one object, or of the last hour of all.
    func resend(
        _ category: EventCategory, object: Int64? = nil, maxPerSecond: Int64? = nil
    ) async throws -> ResendLog {
        let second = clock.wall.seconds
        let range = ResendLogRequest.Range(
            account: Self.account, window: ResendWindow(startSeconds: second - 3_600, endSeconds: second + 3_600))
        let request = ResendLogRequest(
            category: category, objectID: object, range: object == nil ? range : nil, maxPerSecond: maxPerSecond)
        let opened = try await engine.openLog(
            request, LogOpening(user: user, requester: Requester(actor: user.actor)))
        guard case .opened(let log) = opened else { throw Fixtures.Missing() }
        return log
    }

    func log(_ id: Int64) async throws -> ResendLog {
        try #require(try await store.resendLog(id: id))
    }

    func advance() async throws {
        try await base.advance()
    }

    /// Sends what is due and answers each request with what `answer` says of it.
    func deliver(_ answer: (ScriptedTransport.Exchange) -> Int) async throws {
        try await base.deliver(answer)
    }
}
