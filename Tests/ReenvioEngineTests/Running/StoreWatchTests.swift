import Logging
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Synchronization
import Testing

@Suite("store watch")
struct StoreWatchTests {
    private final class Files: StoreFiles {
        let state = Mutex((logBytes: Int64(0), loss: String?.none))
        let bounds = LogBounds(kept: 1, givenBack: 10, warned: 20, pausing: 100, refusing: 400)
        var logBytes: Int64 { state.withLock { $0.logBytes } }
        var loss: String? { state.withLock { $0.loss } }
        func tend() async {}
    }

    @Test("says each doubling of the log once, and that it was given back; a loss once")
    func lines() async throws {
        let files = Files()
        let book = LogBook()
        let watch = StoreWatch(files: files, logger: book.logger)
        let clock = ManualClock()
        for bytes: Int64 in [5, 19, 20, 25, 39, 41, 60, 170, 165, 9, 9, 21] {
            files.state.withLock { $0.logBytes = bytes }
            #expect(try await watch.step(now: clock.now) == .wait(.seconds(1)))
        }
        #expect(book.lines.map { $0.fields["bytes"] } == ["20", "41", "170", "9", "21"])
        #expect(book.lines.map(\.level) == [.warning, .warning, .warning, .notice, .warning])
        files.state.withLock { $0.loss = "gone" }
        for _ in 0..<3 { _ = try await watch.step(now: clock.now) }
        #expect(book.lines.dropFirst(5).map(\.fields) == [["error": "gone"]])
    }

    @Test("does nothing where the store has no files here")
    func elsewhere() async throws {
        let watch = StoreWatch(files: nil, logger: LogBook().logger)
        #expect(try await watch.step(now: ManualClock().now) == .wait(.seconds(3_600)))
    }
}
