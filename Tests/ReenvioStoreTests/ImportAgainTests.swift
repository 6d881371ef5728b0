import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Lines that meet what is stored already: unchanged, or refused with a reason (`docs/importing.md`, `docs/contract.md`
/// 2.1, duplication block).
struct ImportAgainTests {
    @Test("an id with other content is refused, and the reason names the fields", arguments: TestEngine.allCases)
    func otherContent(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder(), merchants: [303, 304])
        let line = try ImportFixture.line(id: 7)
        _ = try await store.take([line])
        let differing: [(String, (inout ImportLine) throws -> Void)] = [
            ("merchant_id", { $0.merchantID = 304 }),
            ("invoice", { $0.invoice += "x" }),
            ("amount", { $0.amount.minor += 1 }),
            (
                "notification_url",
                { $0.notificationURL = try ReceiverURL(parsing: "https://b.example/", policy: AddressPolicy()) }
            ),
            ("notification_url", { $0.notificationURL = nil }),
            ("created_at", { $0.createdAt = $0.createdAt - .microseconds(1) }),
            ("status_id", { $0.status = .rejected }),
            ("updated_at", { $0.updatedAt = $0.updatedAt + .microseconds(1) }),
            ("end_to_end", { $0.endToEnd = nil }),
            ("end_to_end", { $0.endToEnd = "E2" }),
            ("status_detail", { $0.statusDetail = .init(code: "WE0001", detail: "x") }),
        ]
        for (field, change) in differing {
            var other = line
            try change(&other)
            #expect(try await store.take([other]) == [.refused(.idTaken(differsIn: [field]))])
        }
        var other = line
        (other.amount.minor, other.status) = (1, .expired)
        #expect(
            try await store.take([line, other]) == [
                .unchanged, .refused(.idTaken(differsIn: ["amount", "status_id"])),
            ])
        #expect(try await store.recount(engineNow: Fixtures.start).isEmpty)
    }

    @Test("the same holds among the lines of one batch", arguments: TestEngine.allCases)
    func withinABatch(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let first = try ImportFixture.line(id: 1, invoice: "a")
        let unnamed = try ImportFixture.line(id: nil, invoice: "b")
        var other = first
        other.amount.minor = 1
        let blocked = try ImportFixture.line(id: 2, invoice: "a")
        let lines = [first, unnamed, first, unnamed, other, blocked]
        #expect(
            try await store.take(lines) == [
                .imported(id: 1), .imported(id: 2), .unchanged, .unchanged,
                .refused(.idTaken(differsIn: ["amount"])), .refused(.invoiceTaken),
            ])
        #expect(try await store.number("SELECT count(*) FROM payouts") == 2)
    }

    @Test("a line without an id is known by merchant, invoice and content", arguments: TestEngine.allCases)
    func withoutID(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder(), merchants: [303, 304])
        let named = try ImportFixture.line(id: 9, invoice: "a")
        let unnamed = try ImportFixture.line(id: nil, invoice: "a")
        #expect(try await store.take([named]) == [.imported(id: 9)])
        #expect(try await store.take([unnamed]) == [.unchanged])
        var other = unnamed
        other.amount.minor = 1
        #expect(try await store.take([other]) == [.refused(.invoiceTaken)])
        let elsewhere = try ImportFixture.line(id: nil, merchantID: 304, invoice: "a")
        #expect(try await store.take([elsewhere]) == [.imported(id: 10)], "the scope is the merchant")
        // Equal to a reader, but other bytes: another invoice.
        let composed = try ImportFixture.line(id: nil, invoice: "caf\u{E9}")
        let decomposed = try ImportFixture.line(id: nil, invoice: "cafe\u{301}")
        #expect(try await store.take([composed, decomposed]) == [.imported(id: 11), .imported(id: 12)])
        #expect(try await store.take([composed, decomposed]) == [.unchanged, .unchanged])
    }

    @Test("Invalid Data payouts may share an invoice, at most one other may exist", arguments: TestEngine.allCases)
    func duplicationBlock(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        func line(_ id: Int64?, _ status: PayoutStatus, minor: Int64 = 4_334) throws -> ImportLine {
            var line = try ImportFixture.line(id: id, invoice: "same", status: status)
            line.amount.minor = minor
            return line
        }
        let lines = [
            try line(1, .invalidData), try line(2, .invalidData), try line(3, .paid), try line(4, .canceled),
            try line(5, .invalidData), try line(nil, .invalidData, minor: 5), try line(nil, .rejected),
        ]
        let outcomes: [ImportOutcome] = [
            .imported(id: 1), .imported(id: 2), .imported(id: 3), .refused(.invoiceTaken), .imported(id: 5),
            .imported(id: 6), .refused(.invoiceTaken),
        ]
        #expect(try await store.take(lines) == outcomes)
        let again = outcomes.map { if case .imported = $0 { ImportOutcome.unchanged } else { $0 } }
        #expect(try await store.take(lines) == again)
        #expect(try await store.take([try line(nil, .invalidData)]) == [.unchanged], "as one of those stored")
        #expect(try await store.take([try line(nil, .invalidData, minor: 6)]) == [.imported(id: 7)])
        let live = IntakeBatch.NewPayout(draft: try Fixtures.draft(invoice: "same"), merchantID: Fixtures.merchantID)
        let result = try await store.commitIntake(
            IntakeBatch(creates: [live]), now: Fixtures.start, due: Fixtures.start, nonces: [])
        #expect(result.creates == [.invoiceTaken], "an imported payout blocks its invoice like any other")
        #expect(try await store.recount(engineNow: Fixtures.start).isEmpty)
    }

    @Test("an invoice of a live payout is blocked too, until that one is Invalid Data", arguments: TestEngine.allCases)
    func blockedByALivePayout(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let live = try await store.createPayouts(1)
        let line = try ImportFixture.line(id: 50, invoice: "inv-0")
        #expect(try await store.take([line]) == [.refused(.invoiceTaken)])
        try await store.report(.invalidData, live)
        #expect(try await store.take([line]) == [.imported(id: 50)])
    }

    @Test("the index refuses what got past everything else, and the batch with it", arguments: TestEngine.allCases)
    func theIndexHasTheLastWord(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        // A trigger plays the other writer: it takes the invoice after the lines were decided.
        let insert = """
            INSERT INTO payouts (id, merchant_id, invoice, amount_minor, currency, status_id, created_at, updated_at,
                latest_seq, latest_sequence, purpose)
            VALUES (1, 303, 'imported-8', 1, 'BRL', 7, 0, 0, 0, 1, '20')
            """
        switch kind {
        case .sqlite:
            try await store.change(
                "CREATE TRIGGER rival BEFORE INSERT ON payouts WHEN new.id = 7 BEGIN \(insert); END")
        case .postgres:
            try await store.change(
                """
                CREATE FUNCTION rival() RETURNS trigger LANGUAGE plpgsql
                    AS 'BEGIN \(insert.replacing("'", with: "''")); RETURN new; END'
                """)
            try await store.change(
                """
                CREATE TRIGGER rival BEFORE INSERT ON payouts FOR EACH ROW WHEN (new.id = 7) EXECUTE FUNCTION rival()
                """)
        }
        let lines = [try ImportFixture.line(id: 7), try ImportFixture.line(id: 8)]
        await #expect(throws: StoreError.self) { try await store.take(lines) }
        #expect(try await store.number("SELECT count(*) FROM payouts") == 0)
        try await store.change(kind == .sqlite ? "DROP TRIGGER rival" : "DROP TRIGGER rival ON payouts")
        #expect(try await store.take(lines) == [.imported(id: 7), .imported(id: 8)])
    }
}

/// A line whose payout has gone on since: what counts is what it says of the beginning of the history.
struct ImportOfMovedPayoutsTests {
    private let now = ImportFixture.now

    private func change(_ store: Store, _ id: Int64, _ status: PayoutStatus, endToEnd: String? = nil) async throws {
        let change = StatusChangeRequest(payoutID: id, status: status, endToEnd: endToEnd)
        let result = try await store.commitIntake(IntakeBatch(changes: [change]), now: now, due: now, nonces: [5])
        #expect(result.changes == [.applied])
    }

    @Test("an import run again after live changes finds its lines unchanged", arguments: TestEngine.allCases)
    func unchanged(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let lines = [
            try ImportFixture.line(id: 1, status: .received), try ImportFixture.line(id: 2, status: .awaiting),
            try ImportFixture.line(id: 3, status: .received, endToEnd: nil),
            try ImportFixture.line(id: 4, status: .processing),
            try ImportFixture.line(id: nil, invoice: "unnamed", status: .received),
        ]
        _ = try await store.take(lines)
        try await change(store, 1, .inReview)
        try await change(store, 1, .received)
        try await change(store, 1, .invalidData)
        try await change(store, 2, .received, endToEnd: "E7")
        try await change(store, 2, .paid)
        try await change(store, 3, .paid, endToEnd: "E8")
        try await change(store, 4, .paid, endToEnd: "E9")
        try await change(store, 5, .invalidData, endToEnd: "E9")
        let before = try await store.fingerprint()
        #expect(try await store.take(lines) == lines.map { _ in .unchanged })
        #expect(try await store.fingerprint() == before)
    }

    @Test("another beginning is other content", arguments: TestEngine.allCases)
    func otherBeginning(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let line = try ImportFixture.line(id: 1, status: .received)
        _ = try await store.take([line])
        try await change(store, 1, .paid)
        // As it stands now, which a newer export would say: an import is no way to report a change.
        var paid = line
        (paid.status, paid.updatedAt) = (.paid, now)
        #expect(try await store.take([paid]) == [.refused(.idTaken(differsIn: ["status_id", "updated_at"]))])
        var earlier = line
        earlier.updatedAt = line.updatedAt - .seconds(1)
        #expect(try await store.take([earlier]) == [.refused(.idTaken(differsIn: ["updated_at"]))])
        var renamed = line
        renamed.endToEnd = "E2"
        let fields = ["end_to_end or status_detail"]
        #expect(try await store.take([renamed]) == [.refused(.idTaken(differsIn: fields))], "its webhook says E1")
    }

    @Test("a live payout is known by the same rule", arguments: TestEngine.allCases)
    func livePayout(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let ids = try await store.createPayouts(1)
        try await store.report(.paid, ids)
        var line = try ImportFixture.line(id: ids[0], invoice: "inv-0", endToEnd: nil)
        (line.createdAt, line.updatedAt) = (Fixtures.start - .seconds(1), Fixtures.start)
        #expect(try await store.take([line]) == [.unchanged])
        line.status = .awaiting
        line.updatedAt = line.createdAt
        #expect(try await store.take([line]) == [.unchanged], "an older export of the same payout")
        line.endToEnd = "E1"
        line.status = .received
        #expect(try await store.take([line]) != [.unchanged])
    }
}
