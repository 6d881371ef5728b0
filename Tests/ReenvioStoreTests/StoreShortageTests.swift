import Dispatch
import ReenvioStore
import ReenvioTesting
import Synchronization
import Testing

/// A machine without threads when a store is opened: it says so, and the store opens once there are some.
struct StoreShortageTests {
    private static func open(_ kind: TestEngine, in folder: ScratchFolder, threads: Int) throws -> any StoreEngine {
        let left = Mutex(threads)
        let start: SystemThread.Start = { body in
            let isLeft = left.withLock { left in
                left -= 1
                return left >= 0
            }
            return isLeft && SystemThread.start(body)
        }
        switch kind {
        case .sqlite: return try SQLiteEngine(path: folder.path + "/store.db", startThread: start)
        case .postgres:
            return try PostgresEngine(
                try TestPostgres.shared.newSchema(), readers: 2, writers: 3, startThread: start)
        }
    }

    @Test("too few threads are said at once, whichever is lacking", arguments: TestEngine.allCases)
    func threads(_ kind: TestEngine) async throws {
        let needed = kind == .sqlite ? 1 : 6
        let folder = try ScratchFolder()
        for threads in 0..<needed {
            #expect {
                try Self.open(kind, in: folder, threads: threads)
            } throws: { error in
                if case .unavailable(let why) = error as? StoreError { why.contains("thread") } else { false }
            }
        }
        let engine = try Self.open(kind, in: folder, threads: needed)
        #expect(try await engine.write(.intake) { db in try db.first("SELECT 1") { $0.int(0) } } == 1)
        try engine.close()
    }

    @Test("a listener without a thread throws, and listens when it is asked again")
    func listener() async throws {
        let isShort = Mutex(false)
        let engine = try PostgresEngine(try TestPostgres.shared.newSchema(), readers: 1, writers: 1) { body in
            isShort.withLock { $0 } ? false : SystemThread.start(body)
        }
        isShort.withLock { $0 = true }
        #expect(throws: StoreError.self) { try engine.listen {} }
        isShort.withLock { $0 = false }
        let rang = DispatchSemaphore(value: 0)
        let listening = try engine.listen { rang.signal() }
        let hasRung = await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(returning: rang.wait(timeout: .now() + .seconds(120)) == .success)
            }
        }
        #expect(hasRung, "it listens")
        listening.stop()
        try engine.close()
    }
}
