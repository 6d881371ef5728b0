import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Registrations as rows: receivers, moving, deleting (`docs/contract.md` 6.5).
struct RegistrationTests {
    private static let requester = Requester(actor: "user:246")

    private static func url(_ text: String) throws -> ReceiverURL {
        try ReceiverURL(parsing: text, policy: AddressPolicy())
    }

    private static func create(_ url: String, in store: Store) async throws -> Registration? {
        let merchant = try #require(try await store.merchant(id: Fixtures.merchantID, accountID: nil))
        let draft = RegistrationDraft(url: try Self.url(url), selection: .category(.cashOut))
        return try await store.createRegistration(draft, of: merchant, by: requester, now: Fixtures.start)
    }

    /// Receiver's origin is `a.example`'s or not, moving, deleted.
    private static func state(_ store: Store, _ id: Int64) async throws -> [Int64] {
        try await store.rows(
            """
            SELECT CASE WHEN v.origin = 'https://a.example:443' THEN 1 ELSE 0 END, r.is_moving,
                CASE WHEN r.deleted_at IS NULL THEN 0 ELSE 1 END
            FROM registrations r JOIN receivers v ON v.id = r.receiver_id AND v.merchant_id = r.merchant_id
            WHERE r.id = $1
            """, columns: 3, [.int(id)]
        ).first ?? []
    }

    @Test("registrations and payouts of one origin share the merchant's receiver", arguments: TestEngine.allCases)
    func receivers(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder(), merchants: [Fixtures.merchantID, 304])
        _ = try await store.createPayouts(1)
        _ = try await store.createPayouts(1, merchantID: 304)
        _ = try await Self.create("https://a.example/one", in: store)
        _ = try await Self.create("https://a.example:443/two", in: store)
        _ = try await Self.create("https://b.example/", in: store)
        let receivers = try await store.rows(
            """
            SELECT (SELECT count(*) FROM registrations r WHERE r.receiver_id = v.id AND r.merchant_id = v.merchant_id)
            FROM receivers v ORDER BY v.merchant_id, v.origin
            """, columns: 1)
        #expect(receivers == [[2], [1], [0]])
    }

    @Test("only another origin makes a row move, and the mark stays", arguments: TestEngine.allCases)
    func moving(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let id = try #require(try await Self.create("https://a.example/one", in: store)).id
        func change(_ change: RegistrationChange) async throws -> Registration? {
            try await store.updateRegistration(id: id, change, by: Self.requester, now: Fixtures.start)
        }
        #expect(try await Self.state(store, id) == [1, 0, 0])
        #expect(
            try await change(RegistrationChange(url: try Self.url("https://A.example/two")))?.url
                == "https://A.example/two")
        _ = try await change(RegistrationChange(selection: .type(.pixCashOutError), functionsKey: .replaced("x")))
        #expect(try await Self.state(store, id) == [1, 0, 0])
        _ = try await change(RegistrationChange(url: try Self.url("https://a.example:8443/")))
        #expect(try await Self.state(store, id) == [0, 1, 0])
        _ = try await change(RegistrationChange(url: try Self.url("https://a.example:8443/again")))
        #expect(try await Self.state(store, id) == [0, 1, 0])
    }

    @Test("a deleted row stays, marked, and can be neither found nor changed", arguments: TestEngine.allCases)
    func deleting(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let id = try #require(try await Self.create("https://a.example/one", in: store)).id
        #expect(try await store.deleteRegistration(id: id, by: Self.requester, now: Fixtures.start))
        #expect(try await Self.state(store, id) == [1, 1, 1])
        #expect(try await !store.deleteRegistration(id: id, by: Self.requester, now: Fixtures.start))
        #expect(try await store.registration(id: id) == nil)
        #expect(try await store.listRegistrations(merchantID: Fixtures.merchantID).isEmpty)
        let change = RegistrationChange(selection: .category(.cashIn))
        #expect(
            try await store.updateRegistration(id: id, change, by: Self.requester, now: Fixtures.start) == nil)
        let actions = try await store.listAudit(CursorPage()).rows.map(\.action).filter { $0.hasPrefix("webhook.") }
        #expect(actions == ["webhook.delete", "webhook.create"])
    }

    @Test("a change that fails in the middle leaves the row as it was", arguments: TestEngine.allCases)
    func faultInTheMiddle(_ kind: TestEngine) async throws {
        let faults = FaultHolder()
        let store = try await Fixtures.store(kind, in: try ScratchFolder()) { base in
            let engine = FaultyEngine(base)
            faults.engine = engine
            return engine
        }
        let faulty = try #require(faults.engine)
        let id = try #require(try await Self.create("https://a.example/one", in: store)).id
        let before = try await store.registration(id: id)?.registration
        let change = RegistrationChange(
            url: try Self.url("https://b.example/"), selection: .category(.cashIn),
            authorizationToken: .replaced("token"))
        var failures = 0
        for statement in 1...50 {
            faulty.fail(atStatement: statement)
            do {
                _ = try await store.updateRegistration(id: id, change, by: Self.requester, now: Fixtures.start)
                break
            } catch {
                failures += 1
                faulty.disarm()
                #expect(try await store.registration(id: id)?.registration == before)
                #expect(try await Self.state(store, id) == [1, 0, 0])
            }
        }
        #expect(failures >= 5)
        #expect(try await store.registration(id: id)?.registration.url == "https://b.example/")
    }
}
