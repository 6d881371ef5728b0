import Dispatch
import Foundation
import Synchronization

/// What must not outlive the benchmark: the programs it started, the folders it made.
enum Cleanup {
    private struct State {
        var children: Set<pid_t> = []
        var folders: Set<String> = []
        var isOver = false
    }

    private static let state = Mutex(State())

    /// On SIGINT, SIGTERM and SIGHUP everything goes, as long as the result is held.
    static func onSignals() -> [any DispatchSourceSignal] {
        [SIGINT, SIGTERM, SIGHUP].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                run()
                _exit(128 + number)
            }
            source.activate()
            return source
        }
    }

    /// Starts a child with `start`, which returns its id; none is started any more once the cleaning has begun.
    static func starting(_ start: () throws -> pid_t) throws {
        try state.withLock { state in
            guard !state.isOver else { throw Failure("interrupted") }
            state.children.insert(try start())
        }
    }

    static func remove(child: pid_t) { state.withLock { _ = $0.children.remove(child) } }

    /// A new folder under the system's temporary one, gone at the end.
    static func makeFolder() throws -> String {
        try state.withLock { state in
            var name = Array("/tmp/reenvio-bench-XXXXXX".utf8CString)
            guard !state.isOver, mkdtemp(&name) != nil else { throw Failure("no temporary folder can be made") }
            let path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            state.folders.insert(path)
            return path
        }
    }

    static func remove(folder: String) {
        try? FileManager.default.removeItem(atPath: folder)
        state.withLock { _ = $0.folders.remove(folder) }
    }

    static func run() {
        let (children, folders) = state.withLock { state in
            state.isOver = true
            return (state.children, state.folders)
        }
        for child in children { kill(child, SIGKILL) }
        // What still writes in a folder would keep it from being removed.
        for _ in 0..<100 where children.contains(where: { kill($0, 0) == 0 }) { usleep(10_000) }
        for folder in folders { try? FileManager.default.removeItem(atPath: folder) }
    }
}
