import Foundation

/// Starts threads of the system. Foundation's `Thread` hides that there was none to be had: what waits for such a
/// thread waits for ever.
package enum SystemThread {
    /// Runs a closure on a new thread; false where the system has none left.
    package typealias Start = @Sendable (_ body: @escaping @Sendable () -> Void) -> Bool

    package static let start: Start = { body in
        let box = Unmanaged.passRetained(Body(body))
        var thread = pthread_t()
        guard pthread_create(&thread, nil, main, box.toOpaque()) == 0 else {
            box.release()
            return false
        }
        pthread_detach(thread)
        return true
    }

    /// A thread that lives as long as what owns it: without it nothing works, which is said at once.
    /// - Throws: `StoreError.unavailable` where there is none.
    static func startNeeded(_ what: String, by start: Start, _ body: @escaping @Sendable () -> Void) throws {
        let isStarted = start {
            Thread.current.name = what
            body()
        }
        guard isStarted else { throw StoreError.unavailable("the system has no thread left for the \(what)") }
    }

    private static let main: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { raw in
        if let raw { Unmanaged<Body>.fromOpaque(raw).takeRetainedValue().run() }
        return nil
    }

    private final class Body {
        let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
}
