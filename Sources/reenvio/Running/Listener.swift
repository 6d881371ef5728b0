import Foundation
import NIOCore
import ServiceLifecycle

/// Runs an HTTP server and, where it cannot listen, says on which address and why.
struct Listener: Service {
    struct Failed: Error, CustomStringConvertible {
        var description: String
    }

    private let server: any Service
    private let address: Settings.Address

    init(_ server: any Service, at address: Settings.Address) {
        self.server = server
        self.address = address
    }

    func run() async throws {
        do {
            try await runBounded()
        } catch let error as IOError {
            throw Failed(description: "cannot listen on \(address.text): \(Self.reason(error))")
        } catch let error as SocketAddressError {
            throw Failed(description: "cannot listen on \(address.text): \(error)")
        }
    }

    /// Requests that are still being sent when the server is told to stop get two seconds: the ten of a shutdown belong
    /// to deliveries in flight.
    private func runBounded() async throws {
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            let server = self.server
            tasks.addTask { try await server.run() }
            tasks.addTask {
                try await gracefulShutdown()
                try await Task.sleep(for: Self.farewell)
            }
            // Whichever ends first ends the other: the server by itself, or its time.
            defer { tasks.cancelAll() }
            do {
                try await tasks.next()
            } catch is CancellationError {
                return
            }
        }
    }

    private static let farewell: Duration = .seconds(2)

    /// The system's words for the number, without the call that met it.
    private static func reason(_ error: IOError) -> String {
        String(cString: strerror(error.errnoCode))
    }
}
