import Foundation
import Logging
import NIOCore
import NIOSSL
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ServiceLifecycle
import Synchronization
import UnixSignals

/// The certificate and key that the server shows: read again when their files change, looked at every second, and at
/// SIGHUP. Files that cannot be read, or do not belong together, change nothing but the log. Never read within a
/// handshake: what fails there stays in the TLS library's list of errors for that thread, and ends the handshake.
final class ServerCertificate: Stepping {
    private static let lookEvery: Duration = .seconds(1)

    let name = "certificate"
    let doorbell = Doorbell()

    private struct Pair {
        var chain: [NIOSSLCertificate]
        var key: NIOSSLPrivateKey

        init(_ certificateFile: String, _ keyFile: String) throws {
            chain = try NIOSSLCertificate.fromPEMFile(certificateFile)
            key = try NIOSSLPrivateKey(file: keyFile, format: .pem)
        }

        var configuration: TLSConfiguration {
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
            configuration.minimumTLSVersion = .tlsv12
            configuration.cipherSuites = tls12Suites
            return configuration
        }
    }

    private struct State {
        var pair: Pair
        var marks: [String]
    }

    private let files: [String]
    private let logger: Logger
    private let state: Mutex<State>

    /// - Throws: what is wrong with the files.
    init(_ certificateFile: String, _ keyFile: String, logger: Logger) throws {
        files = [certificateFile, keyFile]
        self.logger = logger
        let marks = files.map(FileSteps.mark)
        state = Mutex(State(pair: try Pair(certificateFile, keyFile), marks: marks))
    }

    /// For TLS 1.2: forward secrecy and authenticated encryption only (RFC 9325, 4.2). TLS 1.3 has nothing else.
    private static let tls12Suites = [
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
    ].joined(separator: ":")

    var configuration: TLSConfiguration {
        var configuration = state.withLock(\.pair).configuration
        configuration.sslContextCallback = { [self] _, promise in
            let pair = state.withLock(\.pair)
            var override = NIOSSLContextConfigurationOverride()
            override.certificateChain = pair.chain.map { .certificate($0) }
            override.privateKey = .privateKey(pair.key)
            promise.succeed(override)
        }
        return configuration
    }

    func step(now: Moment) async throws -> Step {
        look(isAsked: false)
        return .wait(Self.lookEvery)
    }

    func finish() async {}

    /// Reads the files again where they changed since they were looked at.
    /// - Parameter isAsked: whether somebody asked for it; then it is read whatever the files' marks, and said.
    func look(isAsked: Bool) {
        let marks: [String]? = state.withLock { state in
            let marks = files.map(FileSteps.mark)
            guard isAsked || marks != state.marks else { return nil }
            state.marks = marks
            return marks
        }
        if marks == nil { return }
        do {
            let pair = try Pair(files[0], files[1])
            // Fails where key and certificate do not belong together, as between the writing of the two.
            _ = try NIOSSLContext(configuration: pair.configuration)
            state.withLock { $0.pair = pair }
            logger.notice("certificate read again", metadata: ["file": "\(files[0])"])
        } catch {
            logger.error(
                "the certificate cannot be read again; the one before stays",
                metadata: ["file": "\(files[0])", "error": "\(error)"])
        }
    }
}

/// Looks at the certificate when the process is told to (SIGHUP).
struct CertificateReload: Service {
    let certificate: ServerCertificate

    func run() async throws {
        for await _ in await UnixSignalsSequence(trapping: .sighup).cancelOnGracefulShutdown() {
            certificate.look(isAsked: true)
        }
    }
}
