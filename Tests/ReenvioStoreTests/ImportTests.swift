import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// What an import stores (`docs/importing.md`): history, webhook, counts and numbers, as live changes would have.
struct ImportTests {
    @Test("a payout with its history, and its webhook as sent elsewhere", arguments: TestEngine.allCases)
    func storesHistory(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let line = try ImportFixture.line(id: 2_322_977, status: .paid)
        #expect(try await store.take([line]) == [.imported(id: 2_322_977)])
        let payout = try #require(try await store.payout(id: 2_322_977, accountID: 1))
        #expect((payout.status, payout.invoice, payout.amount) == (.paid, line.invoice, line.amount))
        #expect((payout.createdAt, payout.updatedAt, payout.paidAt) == (line.createdAt, line.updatedAt, line.updatedAt))
        #expect((payout.endToEnd, payout.purpose, payout.parties) == ("E1", "20", nil))
        #expect(payout.notificationURL == Fixtures.receiverURL)
        let history = try await store.rows(
            """
            SELECT seq, sequence, status_id, changed_at, previous_seq, superseded_seq FROM status_changes ORDER BY seq
            """,
            columns: 6
        )
        #expect(
            history == [
                [1, 1, 7, line.createdAt.microseconds, Int64.min, 2],
                [2, 2, 3, line.updatedAt.microseconds, 1, Int64.min],
            ])
        let notification = try await store.rows(
            """
            SELECT payout_id, change_seq, sequence, live_delivery_id IS NULL, acked_at IS NULL, created_at, nonce
            FROM notifications
            """,
            columns: 7
        )
        #expect(notification == [[2_322_977, 2, 2, 1, 1, ImportFixture.now.microseconds, 40]])
        #expect(try await store.bodies() == [String(decoding: line.body(payoutID: 2_322_977), as: UTF8.self)])
        #expect(try await store.number("SELECT count(*) FROM deliveries") == 0, "nothing is delivered by importing")
        #expect(try await store.number("SELECT count(*) FROM queues") == 0)
        #expect(try await store.recount(engineNow: Fixtures.start).isEmpty)
    }

    @Test("every status, with and without a URL", arguments: PayoutStatus.allCases, [true, false])
    func everyStatus(_ status: PayoutStatus, hasURL: Bool) async throws {
        let store = try await Fixtures.store(in: try ScratchFolder())
        let line = try ImportFixture.line(id: 7, status: status, url: hasURL ? Fixtures.receiverURL : nil)
        #expect(try await store.take([line]) == [.imported(id: 7)])
        let statuses = try await store.rows("SELECT status_id FROM status_changes ORDER BY seq", columns: 1)
        #expect(statuses == (status == .awaiting ? [[7]] : [[7], [status.id]]))
        let isNotified = status.isNotifiable && hasURL
        #expect(try await store.number("SELECT count(*) FROM notifications") == (isNotified ? 1 : 0))
        #expect(try await store.countMatching(ImportFixture.everything) == (isNotified ? 1 : 0))
        #expect(try await store.number("SELECT count(paid_at) FROM payouts") == (status == .paid ? 1 : 0))
        #expect(try await store.recount(engineNow: Fixtures.start).isEmpty)
    }

    /// Whoever reads the store must not be able to tell who brought a payout in, but for what is meant to differ.
    @Test("the same rows as a live creation and change", arguments: TestEngine.allCases)
    func sameAsLive(_ kind: TestEngine) async throws {
        let live = try await Fixtures.store(kind, in: try ScratchFolder())
        let imported = try await Fixtures.store(kind, in: try ScratchFolder())
        let ids = try await live.createPayouts(1)
        let change = StatusChangeRequest(payoutID: ids[0], status: .paid, endToEnd: "E1")
        let now = Fixtures.start
        _ = try await live.commitIntake(IntakeBatch(changes: [change]), now: now, due: now, nonces: [40])
        var line = try ImportFixture.line(id: nil, status: .paid)
        (line.invoice, line.createdAt, line.updatedAt) = ("inv-0", now - .seconds(1), now)
        #expect(try await imported.take([line], now: now) == [.imported(id: ids[0])])
        for (table, columns) in [
            (
                "payouts",
                "id, merchant_id, amount_minor, status_id, created_at, updated_at, paid_at, latest_seq, "
                    + "latest_sequence, latest_notification_id, receiver_id"
            ),
            (
                "status_changes",
                "merchant_id, seq, payout_id, status_id, sequence, changed_at, changed_s, notification_id, "
                    + "previous_seq, superseded_seq"
            ),
            ("notifications", "id, merchant_id, nonce, payout_id, change_seq, sequence, created_at, acked_at, key_id"),
            ("minute_counts", "merchant_id, status_id, minute, current, unacked"),
            ("merchant_clocks", "merchant_id, seq"),
            ("receivers", "id, merchant_id, paused_at"),
        ] {
            let count = columns.split(separator: ",").count
            let rows = try await live.rows("SELECT \(columns) FROM \(table) ORDER BY 1, 2", columns: count)
            #expect(!rows.isEmpty)
            #expect(
                try await imported.rows("SELECT \(columns) FROM \(table) ORDER BY 1, 2", columns: count) == rows,
                "\(table)")
        }
        #expect(try await imported.bodies() == live.bodies())
        var expected = try #require(try await live.payout(id: ids[0], accountID: nil))
        expected.parties = nil
        #expect(try await imported.payout(id: ids[0], accountID: nil) == expected)
    }

    @Test("an imported payout goes on like any other", arguments: TestEngine.allCases)
    func liveChangesFollow(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let statuses: [(Int64, PayoutStatus)] = [(1, .received), (2, .awaiting), (3, .processing), (4, .paid)]
        let lines = try statuses.map { try ImportFixture.line(id: $0, status: $1) }
        _ = try await store.take(lines)
        let result = try await store.report(.paid, [1, 2, 3, 4], at: ImportFixture.now)
        #expect(result.changes == [.applied, .applied, .applied, .unchanged])
        #expect(result.deliveries == 3)
        let sequences = try await store.rows("SELECT id, latest_sequence FROM payouts ORDER BY id", columns: 2)
        #expect(sequences == [[1, 3], [2, 2], [3, 3], [4, 2]])
        #expect(try await store.recount(engineNow: ImportFixture.now).isEmpty)
    }

    @Test("the id sequence is past the largest imported id, and never goes back", arguments: TestEngine.allCases)
    func idSequence(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let without = try ImportFixture.line(id: nil, invoice: "without")
        let lines = [try ImportFixture.line(id: 500), without, try ImportFixture.line(id: 20)]
        #expect(try await store.take(lines) == [.imported(id: 500), .imported(id: 501), .imported(id: 20)])
        #expect(try await store.createPayouts(1) == [502])
        #expect(try await store.take([try ImportFixture.line(id: 30)]) == [.imported(id: 30)])
        #expect(try await store.createPayouts(1, prefix: "next") == [503])
        let largest = try ImportFixture.line(id: Limits.importedIDMax)
        #expect(try await store.take([largest]) == [.imported(id: Limits.importedIDMax)])
        #expect(try await store.createPayouts(1, prefix: "last") == [Limits.importedIDMax + 1])
    }

    @Test("merchants: unknown, closed, and those that may have a status_detail", arguments: TestEngine.allCases)
    func merchants(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder(), merchants: [303, 304])
        let known = try ImportFixture.line(id: 1, merchantID: 304)
        _ = try await store.take([known])
        try await store.change("UPDATE merchants SET closed_at = 5 WHERE id = 304")
        let detailed = try ImportFixture.line(
            id: 2, status: .canceled, detail: .init(code: "WE0001", detail: "unregistered"))
        let faults = Faults("status_detail", "The status_detail field is not accepted for this merchant.")
        let outcomes = try await store.take([
            try ImportFixture.line(id: 3, merchantID: 999), known, try ImportFixture.line(id: 4, merchantID: 304),
            detailed, try ImportFixture.line(id: 5),
        ])
        #expect(
            outcomes == [
                .refused(.unknownMerchant), .unchanged, .refused(.closedMerchant), .refused(.faults(faults)),
                .imported(id: 5),
            ])
        try await store.change("UPDATE merchants SET account_mismatch = 1")
        #expect(try await store.take([detailed, detailed]) == [.imported(id: 2), .unchanged])
        let suffix = #","status_detail":{"code":"WE0001","detail":"unregistered"}}"#
        #expect(try await store.bodies().last?.hasSuffix(suffix) == true)
        #expect(try await store.take([detailed]) == [.unchanged])
        #expect(try await store.recount(engineNow: Fixtures.start).isEmpty)
    }

    @Test("whichever statement fails, nothing of the batch is stored", arguments: TestEngine.allCases)
    func faultAtEveryStatement(_ kind: TestEngine) async throws {
        let faults = FaultHolder()
        let store = try await Fixtures.store(kind, in: try ScratchFolder()) { base in
            let engine = FaultyEngine(base)
            faults.engine = engine
            return engine
        }
        let faulty = try #require(faults.engine)
        _ = try await store.take([try ImportFixture.line(id: 1)])
        let before = try await store.fingerprint()
        let lines = [
            try ImportFixture.line(id: 1), try ImportFixture.line(id: 2, status: .awaiting),
            try ImportFixture.line(id: nil, invoice: "new", url: "https://b.example/hook"),
        ]
        var failures = 0
        for statement in 1...100 {
            faulty.fail(atStatement: statement)
            do {
                let outcomes = try await store.take(lines)
                #expect(outcomes.prefix(2) == [.unchanged, .imported(id: 2)])
                // Ids that a failed transaction drew are lost on PostgreSQL.
                guard case .imported(let id) = outcomes[2] else { throw Fixtures.Missing() }
                #expect(kind == .sqlite ? id == 3 : id > 2)
                break
            } catch {
                failures += 1
                faulty.disarm()
                #expect(try await store.fingerprint() == before, "statement \(statement) left something behind")
            }
        }
        #expect(failures >= 12, "the batch runs many statements, and each of them failed once")
        #expect(try await store.recount(engineNow: Fixtures.start).isEmpty)
    }

    @Test("a batch without payouts, or with nothing new, changes nothing", arguments: TestEngine.allCases)
    func nothingNew(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let lines = try (1...50).map { try ImportFixture.line(id: $0.isMultiple(of: 2) ? $0 : nil, invoice: "i\($0)") }
        _ = try await store.take(lines)
        let before = try await store.fingerprint()
        #expect(try await store.take([]) == [])
        #expect(try await store.take(lines) == lines.map { _ in .unchanged })
        #expect(try await store.take(lines.reversed()) == lines.map { _ in .unchanged })
        #expect(try await store.fingerprint() == before)
    }
}

/// Resends of what was imported, and imports while a resend runs (`docs/architecture.md`, rule 3).
struct ImportedResendTests {
    private let opening = ResendOpening(
        accountID: 1, jobID: String(repeating: "a", count: 32), requester: Requester(actor: "key:test"))

    private func rules() -> ChunkRules {
        ChunkRules(now: ImportFixture.now, due: Fixtures.start, policy: AddressPolicy(), backlogMax: 1_000_000)
    }

    private func lines(_ range: ClosedRange<Int64>, status: PayoutStatus = .paid) throws -> [ImportLine] {
        try range.map { try ImportFixture.line(id: $0, status: status) }
    }

    @Test("a resend sends an imported webhook, byte for byte", arguments: TestEngine.allCases)
    func resends(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        _ = try await store.take(try lines(1...3))
        _ = try await store.take(try lines(4...5, status: .processing))
        let opened = try #require(
            try await store.openResend(ImportFixture.everything, opening, now: ImportFixture.now).resend)
        #expect(opened.total == 3)
        while try await store.advanceResend(after: nil, rules()).progress != .idle {}
        let order = ClaimOrder(
            now: ImportFixture.now, leaseUntil: ImportFixture.now + .seconds(30), token: 7, turns: Turns())
        let claimed = try await store.recordAndClaim([], now: ImportFixture.now, claim: order).claimed.deliveries
        #expect(claimed.compactMap(\.payoutID).sorted() == [1, 2, 3])
        #expect(claimed.allSatisfy { $0.sequence == 2 && $0.attempt == 1 && $0.url == Fixtures.receiverURL })
        for delivery in claimed {
            let id = try #require(delivery.payoutID)
            #expect(delivery.body == (try ImportFixture.line(id: id)).body(payoutID: id))
        }
        let records = claimed.map { delivery in
            AttemptRecord(
                claimed: delivery, attemptID: Array(repeating: 1, count: 16), startedAt: ImportFixture.now,
                duration: .milliseconds(1), statusCode: 200, reason: nil, answer: [], next: .end(.acknowledged))
        }
        _ = try await store.recordAndClaim(records, now: ImportFixture.now, claim: nil)
        #expect(try await store.number("SELECT sum(unacked) FROM minute_counts") == 0)
        #expect(try await store.number("SELECT sum(current) FROM minute_counts") == 3)
        #expect(try await store.recount(engineNow: ImportFixture.now).isEmpty)
    }

    @Test("what is imported while a resend runs does not join it", arguments: TestEngine.allCases)
    func importsWhileAResendRuns(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        _ = try await store.take(try lines(1...450))
        let opened = try #require(
            try await store.openResend(ImportFixture.everything, opening, now: ImportFixture.now).resend)
        #expect(opened.total == 450)
        // Numbers before, between and behind those that match, all of them in the window.
        var next: Int64 = 1_000
        while try await store.advanceResend(after: nil, rules()).progress != .idle {
            let outcomes = try await store.take(try lines(next...next + 299))
            #expect(outcomes == (next...next + 299).map { .imported(id: $0) })
            next += 300
        }
        let ended = try #require(try await store.resend(jobID: opened.jobID))
        #expect((ended.state, ended.queued, ended.failed, ended.total) == (.completed, 450, 0, 450))
        let sent = try await store.rows("SELECT payout_id FROM deliveries", columns: 1)
        #expect(Set(sent.map { $0[0] }) == Set(1...450))
        #expect(try await store.countMatching(ImportFixture.everything) == 450 + next - 1_000)
        #expect(try await store.recount(engineNow: ImportFixture.now).isEmpty)
    }
}
