import Foundation
import Logging
import ReenvioModel
import ReenvioStore

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

    /// The longest `drainDelay`.
    static let drainSecondsMax: Int64 = 300

    enum LogFormat: String, Sendable {
        case json, text
    }

    var store: StorePlace
    var listen: Address
    /// Health, metrics and the dashboard on an address of their own; nil: beside the API.
    var adminListen: Address?
    /// Where operator notices go, and what signs them; both or neither.
    var operatorWebhook: String?
    var operatorWebhookSecret: SigningSecret?
    /// Nil: kept in a file beside the SQLite store, made at the first start. Never nil for PostgreSQL.
    var encryptionKey: SealingKey?
    var allowPrivateReceivers: [CIDR]
    /// Public addresses that no delivery may reach.
    var denyReceivers: [CIDR]
    /// Ports of public addresses; nil: any.
    var receiverPorts: Set<UInt16>?
    var allowHTTPReceivers: Bool
    var trustRoots: String?
    /// What deliveries leave through; nil: directly.
    var egressProxy: EgressProxy?
    var retrySchedule: RetrySchedule
    var resendBacklog: Int64
    var rateLimits: RateLimits
    var retention: Retention
    var trustedProxies: [CIDR]
    /// How long the server works on, not ready any more, before it closes its port.
    var drainDelay: Duration
    /// Nil: the address really bound.
    var publicURL: String?
    var tlsCertificate: String?
    var tlsKey: String?
    var logLevel: Logger.Level
    var logFormat: LogFormat

    /// Set where the key is in a file that others may read.
    var sharedKeyFile: KeyFile.Fault? {
        guard encryptionKey == nil, case .sqlite(let path) = store else { return nil }
        return KeyFile.sharing(besideOf: StorePath(path))
    }

    /// What the server shows where it terminates TLS itself.
    var tlsFiles: (certificate: String, key: String)? {
        guard let tlsCertificate, let tlsKey else { return nil }
        return (tlsCertificate, tlsKey)
    }

    /// Which addresses deliveries may reach: never the server's own. `listening` are the addresses behind `listen`,
    /// `administering` those behind `adminListen`.
    func addressPolicy(listening: [IPAddress], administering: [IPAddress] = []) -> AddressPolicy {
        AddressPolicy(
            allowed: allowPrivateReceivers, denied: denyReceivers,
            ports: allowHTTPReceivers ? receiverPorts?.union([80]) : receiverPorts, allowHTTP: allowHTTPReceivers,
            own: listening.map { (address: $0, port: UInt16(listen.port)) }
                + administering.map { (address: $0, port: UInt16(adminListen?.port ?? 0)) })
    }

    /// The file of the store.
    /// - Throws: `SettingsMistakes` where the store is none.
    var sqlitePath: String {
        get throws {
            guard case .sqlite(let path) = store else {
                throw SettingsMistakes(mistakes: [
                    "this is for SQLite only; PostgreSQL has tools of its own (docs/operations.md)"
                ])
            }
            return path
        }
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

/// Where the store is.
enum StorePlace: Sendable, Equatable {
    case sqlite(path: String)
    case postgres(PostgresAddress)

    /// Nil unless it is `sqlite:PATH` or a URI that libpq takes.
    init?(_ text: String) {
        if text.hasPrefix("postgres://") || text.hasPrefix("postgresql://") {
            guard let address = try? PostgresAddress(text) else { return nil }
            self = .postgres(address)
        } else {
            guard text.hasPrefix("sqlite:"), text.count > 7 else { return nil }
            self = .sqlite(path: String(text.dropFirst(7)))
        }
    }

    /// As it was given, without a password; a text that is no place may hold one anywhere.
    static func shown(_ text: String) -> String {
        switch StorePlace(text) {
        case .sqlite: text
        case .postgres(let address): address.withoutPassword
        case nil: text.contains("@") || text.contains("password") ? "(hidden)" : text
        }
    }
}

/// Every mistake in the settings, one text each.
struct SettingsMistakes: Error, CustomStringConvertible {
    var mistakes: [String]

    var description: String { mistakes.joined(separator: "\n") }
}
