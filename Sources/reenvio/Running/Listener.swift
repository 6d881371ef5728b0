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
            try await server.run()
        } catch let error as IOError {
            throw Failed(description: "cannot listen on \(address.text): \(Self.reason(error))")
        } catch let error as SocketAddressError {
            throw Failed(description: "cannot listen on \(address.text): \(error)")
        }
    }

    /// The system's words for the number, without the call that met it.
    private static func reason(_ error: IOError) -> String {
        String(cString: strerror(error.errnoCode))
    }
}
