import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// A Hummingbird server whose only endpoint does nothing. Prints `{"listening":"host:port"}` like `reenvio serve`.
@main
struct Empty {
    static func main() async throws {
        let router = Router()
        router.post("/empty") { _, _ in HTTPResponse.Status.ok }
        var application = Application(
            router: router,
            configuration: .init(address: .hostname("127.0.0.1", port: 0), serverName: nil, backlog: 1_024),
            onServerRunning: { channel in
                let line = "{\"listening\":\"127.0.0.1:\(channel.localAddress?.port ?? 0)\"}\n"
                FileHandle.standardOutput.write(Data(line.utf8))
            }
        )
        application.logger.logLevel = .critical
        try await application.runService()
    }
}
