import ArgumentParser
import Foundation
import Hummingbird
import Logging
import NIOCore
import ReenvioModel
import ReenvioStore
import ServiceLifecycle
import UnixSignals

struct ReceiverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "receiver",
        abstract: "A test receiver: takes webhooks on any path, verifies and counts; GET /stats tells."
    )

    @Option(help: "host:port to listen on; port 0 picks one.") var listen = "127.0.0.1:9000"
    @Option(help: "A signing secret to verify with; may be repeated. Without one nothing is verified.")
    var secret: [String] = []
    @Option(help: "A file that holds one, or - for standard input; may be repeated.") var secretFile: [String] = []
    @Option(help: "Answer every Nth request with 500.") var failEvery = 0
    @Option(help: "Wait so many milliseconds before answering.") var delay = 0

    func run() async throws {
        try await reportingFailures {
            let texts = secret + (try secretFile.map { try SecretText.read(file: $0, of: "--secret") })
            let secrets = texts.compactMap { SigningSecret($0) }
            guard secrets.count == texts.count else {
                throw CreationRefused(description: "--secret must be whsec_ and the base64 of 24 to 64 bytes")
            }
            guard let address = Settings.Address(listen) else {
                throw CreationRefused(description: "--listen must be host:port")
            }
            guard failEvery >= 0, (0...600_000).contains(delay) else {
                throw CreationRefused(
                    description: "--fail-every and --delay must not be negative, a delay at most 600000")
            }
            let receiver = WebhookReceiver(
                secrets: secrets, behavior: .init(failEvery: failEvery, delay: .milliseconds(delay))
            )
            let application = receiver.application(host: address.host, port: address.port) { bound in
                let bound = Settings.Address(host: bound?.ipAddress ?? address.host, port: bound?.port ?? address.port)
                var writer = JSONWriter()
                writer.object { $0.member("listening", bound.text) }
                Terminal.out(String(decoding: writer.bytes, as: UTF8.self))
            }
            try await ServiceGroup(
                configuration: .init(
                    services: [Listener(application, at: address)], gracefulShutdownSignals: [.sigterm, .sigint],
                    logger: Logger(label: "receiver") { _ in SwiftLogNoOpLogHandler() })
            ).run()
        }
    }
}
