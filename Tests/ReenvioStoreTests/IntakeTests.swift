import Foundation
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Payouts and status changes as transactions: `docs/contract.md` 1.2, 2.1, 2.4 and the rule of one commit.
struct IntakeTests {
    private static let paidRequest = ResendRequest(
        merchantID: Fixtures.merchantID,
        window: ResendWindow(startSeconds: Fixtures.start.seconds - 60, endSeconds: Fixtures.start.seconds + 60),
        statuses: [.paid]
    )

    @Test("change, notification and delivery are written together", arguments: TestEngine.allCases)
    func oneCommit(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let ids = try await store.createPayouts(1)
        #expect(try await store.number("SELECT count(*) FROM deliveries") == 0, "creation sends nothing")
        let result = try await store.report(.paid, ids, due: Fixtures.start + .seconds(7))
        #expect(result.changes == [.applied])
        #expect(result.deliveries == 1)
        let delivery = try await store.rows("SELECT payout_id, due_at, attempts FROM deliveries", columns: 3)
        #expect(delivery == [[ids[0], (Fixtures.start + .seconds(7)).microseconds, 0]])
        let body = try await store.engine.read { db in
            try db.first("SELECT body FROM notifications") { String(decoding: $0.blob(0), as: UTF8.self) }
        }
        #expect(
            body
                == #"{"id":1,"invoice":"inv-0","end_to_end":null,"status":{"id":3,"name":"Paid"},"#
                + #""updated_at":"2026-03-24 08:00:00"}"#
        )
        #expect(try await store.recount(engineNow: Fixtures.start).isEmpty)
    }

    @Test("each item is decided on its own, items on one payout in order", arguments: TestEngine.allCases)
    func itemByItem(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let ids = try await store.createPayouts(2)
        let changes = [
            StatusChangeRequest(payoutID: ids[0], status: .received, endToEnd: "E1"),
            StatusChangeRequest(payoutID: 999, status: .paid),
            StatusChangeRequest(payoutID: ids[0], status: .paid, endToEnd: "E2"),
            StatusChangeRequest(payoutID: ids[0], status: .paid),
            StatusChangeRequest(payoutID: ids[0], status: .canceled),
            StatusChangeRequest(payoutID: ids[1], status: .processing),
        ]
        let result = try await store.commitIntake(
            IntakeBatch(changes: changes), now: Fixtures.start, due: Fixtures.start, nonces: changes.map { _ in 1 }
        )
        #expect(
            result.changes == [
                .applied, .refused(.notFound), .applied, .unchanged, .refused(.notAllowed(from: .paid, to: .canceled)),
                .applied,
            ])
        #expect(result.deliveries == 2, "Received and Paid notify, Processing does not")
        let history = try await store.rows(
            "SELECT sequence, status_id, superseded_seq IS NULL FROM status_changes WHERE payout_id = $1 ORDER BY seq",
            columns: 3, [.int(ids[0])]
        )
        #expect(history == [[1, 7, 0], [2, 1, 0], [3, 3, 1]])
        let bodies = try await store.engine.read { db in
            try db.all("SELECT body FROM notifications ORDER BY id") { String(decoding: $0.blob(0), as: UTF8.self) }
        }
        #expect(bodies.map { $0.contains(#""E1""#) } == [true, false])
        #expect(try await store.recount(engineNow: Fixtures.start).isEmpty)
    }

    @Test("status_detail needs Canceled and the merchant's setting", arguments: TestEngine.allCases)
    func statusDetail(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let ids = try await store.createPayouts(2)
        let detail = StatusChangeRequest.Detail(code: "WE0001", detail: "unregistered")
        let change = StatusChangeRequest(payoutID: ids[0], status: .canceled, statusDetail: detail)
        let refused = try await store.commitIntake(
            IntakeBatch(changes: [change]), now: Fixtures.start, due: Fixtures.start, nonces: [1]
        )
        guard case .refused(.invalid(let faults)) = refused.changes.first else {
            Issue.record("accepted without the setting")
            return
        }
        #expect(faults["status_detail"] != nil)
        _ = try await store.engine.write(.intake) { db in try db.run("UPDATE merchants SET account_mismatch = 1") }
        let accepted = try await store.commitIntake(
            IntakeBatch(changes: [change]), now: Fixtures.start, due: Fixtures.start, nonces: [1]
        )
        #expect(accepted.changes == [.applied])
        let body = try await store.engine.read { db in
            try db.first("SELECT body FROM notifications") { String(decoding: $0.blob(0), as: UTF8.self) }
        }
        #expect(body?.hasSuffix(#","status_detail":{"code":"WE0001","detail":"unregistered"}}"#) == true)
    }

    @Test("an invoice is taken once per merchant, but for Invalid Data", arguments: TestEngine.allCases)
    func duplicationBlock(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder(), merchants: [303, 304])
        let draft = try Fixtures.draft(invoice: "same")
        func create(_ merchantID: Int64, _ count: Int = 1) async throws -> [IntakeResult.Created] {
            let creates = (0..<count).map { _ in IntakeBatch.NewPayout(draft: draft, merchantID: merchantID) }
            return try await store.commitIntake(
                IntakeBatch(creates: creates), now: Fixtures.start, due: Fixtures.start, nonces: []
            ).creates
        }
        let first = try await create(303, 2)
        guard case .payout(let id) = first[0] else {
            Issue.record("the first was refused")
            return
        }
        #expect(first[1] == .invoiceTaken)
        guard case .payout(let other) = try await create(304)[0] else {
            Issue.record("the scope is the merchant")
            return
        }
        try await store.report(.canceled, [id])
        #expect(try await create(303) == [.invoiceTaken], "whatever the status of the first")
        try await store.report(.invalidData, [other])
        #expect(try await create(304).first != .invoiceTaken)
        #expect(try await create(304) == [.invoiceTaken], "at most one other may exist")
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
        let ids = try await store.createPayouts(3)
        try await store.report(.received, [ids[0]])
        let before = try await store.fingerprint()
        let creates = [
            IntakeBatch.NewPayout(draft: try Fixtures.draft(invoice: "new"), merchantID: Fixtures.merchantID)
        ]
        let batch = IntakeBatch(creates: creates, changes: ids.map { StatusChangeRequest(payoutID: $0, status: .paid) })
        var failures = 0
        for statement in 1...100 {
            faulty.fail(atStatement: statement)
            do {
                _ = try await store.commitIntake(batch, now: Fixtures.start, due: Fixtures.start, nonces: [1, 2, 3])
                break
            } catch {
                failures += 1
                faulty.disarm()
                #expect(try await store.fingerprint() == before, "statement \(statement) left something behind")
            }
        }
        #expect(failures >= 12, "the batch runs many statements, and each of them failed once")
        #expect(try await store.countMatching(Self.paidRequest) == 3)
        #expect(try await store.recount(engineNow: Fixtures.start).isEmpty)
    }

    @Test("people's data and secrets never lie open in the file")
    func encryptedAtRest() async throws {
        let folder = try ScratchFolder()
        let store = try await Fixtures.store(in: folder)
        let ids = try await store.createPayouts(1)
        try await store.report(.paid, ids)
        #expect(try await store.payout(id: ids[0], accountID: nil)?.parties == Fixtures.parties)
        try store.close()
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
            let bytes = try Data(contentsOf: URL(fileURLWithPath: folder.path + "/" + name))
            for secret in ["Maria Beneficiary", "82608288200", "test-signing-secret", "whsec_"] {
                #expect(bytes.range(of: Data(secret.utf8)) == nil, "\(name) holds \(secret)")
            }
        }
    }
}

/// Carries the engine out of the closure that wraps it.
final class FaultHolder {
    var engine: FaultyEngine?
}
