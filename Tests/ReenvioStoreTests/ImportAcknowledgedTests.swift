import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Imported payouts whose webhook another system got acknowledged (`docs/importing.md`, `docs/contract.md` 13.5).
struct ImportAcknowledgedTests {
    private static let at = ImportFixture.updatedAt + .seconds(2)

    private static func line(_ id: Int64?, acknowledged: Bool = true, merchantID: Int64 = 303) throws -> ImportLine {
        var line = try ImportFixture.line(id: id, merchantID: merchantID, invoice: "ack-\(id ?? 0)")
        if acknowledged { line.acknowledgedAt = at }
        return line
    }

    private static var missed: ResendRequest {
        var request = ImportFixture.everything
        request.options = ResendOptions(onlyUnacknowledged: true)
        return request
    }

    private static func opening(_ name: String) -> ResendOpening {
        ResendOpening(accountID: 1, jobID: name, requester: Requester(actor: "key:test"))
    }

    private static let rules = ChunkRules(
        now: ImportFixture.now, due: Fixtures.start, policy: AddressPolicy(), backlogMax: 1_000_000)

    @Test("a resend of what was missed leaves it out, and all counts agree", arguments: TestEngine.allCases)
    func leftOut(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let lines = try (1...10).map { try Self.line($0, acknowledged: $0 > 4) }
        #expect(try await store.take(lines).count == 10)
        #expect(try await store.countMatching(ImportFixture.everything) == 10)
        #expect(try await store.countMatching(Self.missed) == 4)
        #expect(try await store.number("SELECT CAST(sum(unacked) AS BIGINT) FROM receiver_counts") == 4)
        let job = try #require(
            try await store.openResend(Self.missed, Self.opening("a"), now: ImportFixture.now).resend)
        while try await store.advanceResend(after: nil, Self.rules).progress != .idle {}
        let sent = try await store.rows(
            "SELECT payout_id FROM deliveries WHERE resend_id = $1 ORDER BY 1", columns: 1, [.int(job.id)])
        #expect(sent == [[1], [2], [3], [4]])
        let log = try await store.deliveryLog(payoutID: 5, accountID: nil, now: ImportFixture.now)
        #expect(log?.first?.acknowledgedAt == Self.at)
        #expect(try await store.recount(engineNow: ImportFixture.now).isEmpty)
    }

    @Test(
        "said once or said again, the line is unchanged; a time that is not the first changes nothing",
        arguments: TestEngine.allCases)
    func again(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        _ = try await store.take([try Self.line(1)])
        let before = try await store.fingerprint()
        var later = try Self.line(1)
        later.acknowledgedAt = Self.at + .seconds(60)
        let silent = try Self.line(1, acknowledged: false)
        #expect(try await store.take([try Self.line(1), later, silent]) == [.unchanged, .unchanged, .unchanged])
        #expect(try await store.fingerprint() == before)
        #expect(
            try await store.number("SELECT acked_at FROM notifications") == Self.at.microseconds)
    }

    @Test(
        "a stored payout is acknowledged by a later line that says so, by id or by invoice",
        arguments: TestEngine.allCases)
    func afterwards(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let silent = try (1...3).map { try Self.line($0, acknowledged: false) }
        _ = try await store.take(silent)
        #expect(try await store.countMatching(Self.missed) == 3)
        var byInvoice = try Self.line(2)
        byInvoice.id = nil
        let outcomes = try await store.take([try Self.line(1), byInvoice, try Self.line(1)])
        #expect(outcomes == [.imported(id: 1), .imported(id: 2), .unchanged])
        #expect(try await store.countMatching(Self.missed) == 1)
        #expect(try await store.countMatching(ImportFixture.everything) == 3)
        #expect(try await store.recount(engineNow: ImportFixture.now).isEmpty)
    }

    @Test("in one batch the second line of a payout may say it", arguments: TestEngine.allCases)
    func withinABatch(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let lines = [try Self.line(1, acknowledged: false), try Self.line(1)]
        #expect(try await store.take(lines) == [.imported(id: 1), .unchanged])
        #expect(try await store.countMatching(Self.missed) == 0)
        #expect(try await store.recount(engineNow: ImportFixture.now).isEmpty)
    }

    @Test(
        "one that went on since is acknowledged where it was: its latest webhook stays missed",
        arguments: TestEngine.allCases)
    func earlierStatus(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        var line = try ImportFixture.line(id: 1, status: .received)
        _ = try await store.take([line])
        try await store.report(.paid, [1], at: ImportFixture.updatedAt + .seconds(60))
        line.acknowledgedAt = Self.at
        #expect(try await store.take([line]) == [.imported(id: 1)])
        #expect(try await store.countMatching(Self.missed) == 1)
        #expect(
            try await store.rows("SELECT acked_at IS NOT NULL FROM notifications ORDER BY id", columns: 1).count == 2)
        #expect(try await store.number("SELECT count(*) FROM notifications WHERE acked_at IS NOT NULL") == 1)
        #expect(try await store.recount(engineNow: ImportFixture.now).isEmpty)
    }

    @Test("a running resend keeps what it has frozen, and a later one leaves it out", arguments: TestEngine.allCases)
    func whileAJobRuns(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        _ = try await store.take(try (1...3).map { try Self.line($0, acknowledged: false) })
        let job = try #require(
            try await store.openResend(Self.missed, Self.opening("a"), now: ImportFixture.now).resend)
        #expect(job.total == 3)
        _ = try await store.take([try Self.line(2)])
        while try await store.advanceResend(after: nil, Self.rules).progress != .idle {}
        let ended = try #require(try await store.resend(jobID: "a"))
        #expect((ended.state, ended.queued, ended.failed) == (.completed, 3, 0))
        #expect(try await store.countMatching(Self.missed) == 2)
        #expect(try await store.recount(engineNow: ImportFixture.now).isEmpty)
    }

    @Test("the event of v3 is acknowledged with it, at once or afterwards", arguments: TestEngine.allCases)
    func mirrored(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        try await store.createMirror(id: 900)
        _ = try await store.take([
            try Self.line(1, merchantID: 900), try Self.line(2, acknowledged: false, merchantID: 900),
        ])
        func acked() async throws -> Int64? {
            try await store.number(
                "SELECT count(*) FROM notifications WHERE event_id IS NOT NULL AND acked_at = \(Self.at.microseconds)")
        }
        #expect(try await acked() == 1)
        _ = try await store.take([try Self.line(2, merchantID: 900)])
        #expect(try await acked() == 2)
        #expect(try await store.recount(engineNow: ImportFixture.now).isEmpty)
    }
}
