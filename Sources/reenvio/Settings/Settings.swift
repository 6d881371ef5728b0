import Foundation
import Logging
import ReenvioModel

/// What the operator decided, read once and checked whole (`docs/architecture.md`, the operator's surface).
struct Settings: Sendable {
    /// `host:port` to listen on; port 0 picks a free one.
    struct Address: Sendable, Equatable {
        var host: String
        var port: Int

        /// Nil unless it is `host:port`, with an IPv6 address in brackets.
        init?(_ text: String) {
            guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
                return nil
            }
            var host = text[..<colon]
            if host.hasPrefix("["), host.hasSuffix("]") {
                host = host.dropFirst().dropLast()
            } else if host.contains(":") {
                return nil
            }
            guard !host.isEmpty else { return nil }
            self.host = String(host)
            self.port = Int(port)
        }

        init(host: String, port: Int) {
            self.host = host
            self.port = port
        }

        var text: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    }

    enum LogFormat: String, Sendable {
        case json, text
    }

    var storePath: String
    var listen: Address
    /// Health, metrics and the dashboard on an address of their own; nil: beside the API.
    var adminListen: Address?
    /// Nil: kept in a file beside the SQLite store, made at the first start.
    var encryptionKey: SealingKey?
    var allowPrivateReceivers: [CIDR]
    var allowHTTPReceivers: Bool
    var trustRoots: String?
    /// What deliveries leave through; nil: directly.
    var egressProxy: EgressProxy?
    var retrySchedule: RetrySchedule
    var resendBacklog: Int64
    var rateLimits: RateLimits
    var retention: Retention
    var trustedProxies: [CIDR]
    /// Nil: the address really bound.
    var publicURL: String?
    var tlsCertificate: String?
    var tlsKey: String?
    var logLevel: Logger.Level
    var logFormat: LogFormat

    /// Which addresses deliveries may reach: never the server's own. `listening` are the addresses behind `listen`,
    /// `administering` those behind `adminListen`.
    func addressPolicy(listening: [IPAddress], administering: [IPAddress] = []) -> AddressPolicy {
        AddressPolicy(
            allowed: allowPrivateReceivers, allowHTTP: allowHTTPReceivers,
            own: listening.map { (address: $0, port: UInt16(listen.port)) }
                + administering.map { (address: $0, port: UInt16(adminListen?.port ?? 0)) })
    }

    /// What an operator should know before trusting these settings with real traffic.
    var warnings: [String] {
        var warnings: [String] = []
        if allowHTTPReceivers {
            warnings.append("REENVIO_ALLOW_HTTP_RECEIVERS is on: webhooks may travel unencrypted; for development only")
        }
        if !allowPrivateReceivers.isEmpty {
            warnings.append("REENVIO_ALLOW_PRIVATE_RECEIVERS lets deliveries reach private addresses")
        }
        return warnings
    }
}

/// Every mistake in the settings, one text each.
struct SettingsMistakes: Error, CustomStringConvertible {
    var mistakes: [String]

    var description: String { mistakes.joined(separator: "\n") }
}
