import Foundation
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// An import from its first line to its last: batches, numbers of lines, refusals in order, reading ahead.
struct ImportRunTests {
    private struct Report {
        var totals = ImportRun.Totals()
        var refused: [String] = []
        var stored: [ImportRun.Totals] = []
        var bytes: Int64 = 0
    }

    private func line(_ id: Int, amount: String = "43.34") -> String {
        """
        {"merchant_id":303,"id":\(id),"invoice":"i-\(id)","amount":"\(amount)","currency":"BRL","status_id":3,\
        "notification_url":"https://a.example/hook","created_at":"2026-03-24T07:00:00Z",\
        "updated_at":"2026-03-24T07:05:30Z"}
        """
    }

    /// Imports a file that holds `text`.
    private func run(_ text: String, into fixture: EngineFixture) async throws -> Report {
        let path = fixture.folder.path + "/import.ndjson"
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        let file = open(path, O_RDONLY)
        defer { close(file) }
        return try await run(file, into: fixture)
    }

    private func run(_ file: Int32, into fixture: EngineFixture) async throws -> Report {
        let reader = ImportReader(file: file, policy: AddressPolicy(), clock: fixture.clock)
        let run = ImportRun(
            store: fixture.store, reader: reader, clock: fixture.clock, entropy: SeededEntropy(seed: 3))
        var report = Report()
        report.totals = try await run.run { event in
            switch event {
            case .refused(let line, let refusal): report.refused.append("\(line): \(refusal.text)")
            case .stored(let totals, let bytes):
                report.stored.append(totals)
                report.bytes = bytes
            }
        }
        return report
    }

    @Test("lines are stored a thousand at a time, and again they are unchanged")
    func batches() async throws {
        let fixture = try await EngineFixture()
        let text = (1...2_500).map { line($0) + "\n" }.joined()
        let report = try await run(text, into: fixture)
        #expect(report.totals == ImportRun.Totals(imported: 2_500))
        #expect(report.stored.map(\.imported) == [1_000, 2_000, 2_500])
        #expect(report.bytes == Int64(text.utf8.count))
        #expect(try await run(text, into: fixture).totals == ImportRun.Totals(unchanged: 2_500))
        let nonces = try await fixture.store.number("SELECT count(DISTINCT nonce) FROM notifications")
        #expect(nonces == 2_500, "each webhook has an id of its own")
        #expect(try await fixture.store.recount(engineNow: fixture.clock.engine).isEmpty)
    }

    @Test(
        "writes that take longer than 20 ms become smaller, within bounds",
        arguments: [
            (1_000, 15, 1_000), (1_000, 20, 1_000), (1_000, 40, 500), (500, 20, 500), (500, 16, 625), (500, 0, 1_000),
            (1_000, 10_000, 200), (3, 1, 200), (200, 4, 1_000),
        ])
    func sizes(lines: Int, milliseconds: Int, size: Int) {
        #expect(ImportRun.size(after: lines, took: .milliseconds(milliseconds)) == size)
    }

    @Test("refusals come in the order of the lines, counted as an editor counts them")
    func refusals() async throws {
        let fixture = try await EngineFixture()
        let text = [
            "\u{FEFF}" + line(1), "", line(2, amount: "x"), "  \t", "oops", line(1, amount: "1"), line(3), "[]",
            line(1), "{\"merchant_id\":" + String(repeating: " ", count: Limits.importLineBytes) + "303}",
        ].joined(separator: "\r\n")
        let report = try await run(text, into: fixture)
        #expect(report.totals == ImportRun.Totals(imported: 2, unchanged: 1, refused: 5))
        #expect(
            report.refused == [
                "3: The amount field must be a number.", "5: The line is not JSON at byte 1.",
                "6: The id is stored with other content: amount.", "8: The line is not a JSON object.",
                "10: The line is longer than 1048576 bytes.",
            ])
    }

    @Test("nothing at all, or only blank lines and refused ones")
    func nothing() async throws {
        let fixture = try await EngineFixture()
        #expect(try await run("", into: fixture).totals == ImportRun.Totals())
        #expect(try await run("\n \n\r\n", into: fixture).totals == ImportRun.Totals())
        #expect(try await run("x\ny", into: fixture).totals == ImportRun.Totals(refused: 2))
        #expect(try await fixture.store.number("SELECT seq FROM merchant_clocks WHERE merchant_id = 303") == 0)
    }

    @Test("what cannot be read is said, and what a failed write leaves is taken up again")
    func failures() async throws {
        let fault = Fault()
        let fixture = try await EngineFixture { base in
            let engine = FaultyEngine(base)
            fault.engine = engine
            return engine
        }
        let folder = open(fixture.folder.path, O_RDONLY)
        defer { close(folder) }
        await #expect(throws: ImportReader.Failed.self) { try await run(folder, into: fixture) }
        let text = (1...2_500).map { line($0) + "\n" }.joined()
        let faulty = try #require(fault.engine)
        faulty.fail(atStatement: 21)
        await #expect(throws: FaultyEngine.failure) { try await run(text, into: fixture) }
        faulty.disarm()
        #expect(try await fixture.store.number("SELECT count(*) FROM payouts") == 1_000)
        #expect(try await run(text, into: fixture).totals == ImportRun.Totals(imported: 1_500, unchanged: 1_000))
    }

    /// Carries the engine out of the closure that wraps it.
    private final class Fault {
        var engine: FaultyEngine?
    }
}
