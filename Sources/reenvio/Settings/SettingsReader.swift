import Configuration
import Foundation
import Logging
import ReenvioModel
import ReenvioStore
import SystemPackage

/// One setting: its name in the environment (after `REENVIO_`) and, in lower case, in the file.
enum SettingName: String, CaseIterable {
    case store, listen, adminListen = "admin_listen"
    case operatorWebhook = "operator_webhook", operatorWebhookSecret = "operator_webhook_secret"
    case encryptionKey = "encryption_key", allowPrivateReceivers = "allow_private_receivers"
    case denyReceivers = "deny_receivers", receiverPorts = "receiver_ports"
    case allowHTTPReceivers = "allow_http_receivers", trustRoots = "trust_roots", egressProxy = "egress_proxy"
    case retrySchedule = "retry_schedule"
    case resendBacklog = "resend_backlog", rateLimits = "rate_limits", trustedProxies = "trusted_proxies"
    case drainDelay = "drain_delay"
    case publicURL = "public_url", tlsCert = "tls_cert", tlsKey = "tls_key", retention, log, logFormat = "log_format"

    var variable: String { "REENVIO_" + rawValue.uppercased() }
    var isSecret: Bool { [.encryptionKey, .egressProxy, .operatorWebhookSecret].contains(self) }

    var defaultText: String {
        switch self {
        case .store: "sqlite:./reenvio-data/reenvio.db"
        case .listen: "127.0.0.1:8080"
        case .retrySchedule: RetrySchedule.defaultText
        case .resendBacklog: "1000000"
        case .drainDelay: "0s"
        case .receiverPorts: "443,8443"
        case .rateLimits: RateLimits.defaultText
        case .allowHTTPReceivers: "false"
        case .retention: Retention.defaultText
        case .log: "info"
        case .logFormat: "json"
        case .adminListen, .encryptionKey, .allowPrivateReceivers, .denyReceivers, .trustRoots, .egressProxy,
            .trustedProxies, .publicURL:
            ""
        case .tlsCert, .tlsKey, .operatorWebhook, .operatorWebhookSecret: ""
        }
    }
}

/// Reads the settings from flags, environment and file, in that order of right, and names every mistake at once.
struct SettingsReader {
    /// The texts as they came, and where from.
    private(set) var texts: [SettingName: String] = [:]
    private(set) var sources: [SettingName: String] = [:]
    private(set) var mistakes: [String] = []
    private(set) var unknown: [String] = []

    static let fileName = "reenvio.yaml"

    init(
        flags: [SettingName: String], environment: [String: String] = ProcessInfo.processInfo.environment,
        file: String = fileName
    ) async {
        let prefix = "REENVIO_"
        var own: [String: String] = [:]
        for (key, value) in environment where key.hasPrefix(prefix) { own[String(key.dropFirst(prefix.count))] = value }
        var readers = [
            ("flag", Self.reader(flags)),
            ("environment", ConfigReader(provider: EnvironmentVariablesProvider(environmentVariables: own))),
        ]
        do {
            let provider = try await FileProvider<YAMLSnapshot>(filePath: FilePath(file), allowMissing: true)
            readers.append((file, ConfigReader(provider: provider)))
            // Who can write settings can send every webhook elsewhere.
            if let access = FileSteps.access(file),
                ![0, geteuid()].contains(access.owner) || access.others & 0o022 != 0
            {
                mistakes.append("\(file) can be changed by others: it must belong to this user or root, chmod go-w")
            }
        } catch {
            mistakes.append("\(file) cannot be read as YAML")
        }
        for name in SettingName.allCases {
            for (source, reader) in readers where texts[name] == nil {
                guard let text = Self.text(name, reader), !text.isEmpty else { continue }
                texts[name] = text
                sources[name] = source
            }
        }
        let known = Set(SettingName.allCases.map { $0.rawValue.uppercased() })
        unknown = own.keys.filter { !known.contains($0) }.sorted().map { prefix + $0 }
    }

    private static func reader(_ flags: [SettingName: String]) -> ConfigReader {
        var values: [AbsoluteConfigKey: ConfigValue] = [:]
        for (name, text) in flags {
            values[AbsoluteConfigKey([name.rawValue])] = ConfigValue(.string(text), isSecret: false)
        }
        return ConfigReader(provider: InMemoryProvider(values: values))
    }

    /// YAML may hold a number or a truth value where the environment holds text.
    private static func text(_ name: SettingName, _ reader: ConfigReader) -> String? {
        let key = ConfigKey([name.rawValue])
        return reader.string(forKey: key, isSecret: name.isSecret)
            ?? reader.int(forKey: key, isSecret: name.isSecret).map(String.init)
            ?? reader.bool(forKey: key, isSecret: name.isSecret).map(String.init)
    }

    /// What a store must be; of one on PostgreSQL, that its library is there, which may be all that is wrong.
    private static func rule(ofStore text: String?) -> String {
        if text?.hasPrefix("postgres") == true, let fault = PostgresAddress.libraryFault {
            return "needs PostgreSQL's client library: \(fault)"
        }
        return "must be sqlite:PATH or a URI such as postgres://user:password@host/database"
    }

    /// - Throws: `SettingsMistakes` with every mistake.
    func settings() throws -> Settings {
        var check = Check(texts: texts, mistakes: mistakes)
        let settings = Settings(
            store: check.parse(.store, Self.rule(ofStore: texts[.store])) { StorePlace($0) } ?? .sqlite(path: ""),
            listen: check.parse(.listen, "must be host:port") { Settings.Address($0) } ?? .init(host: "", port: 0),
            adminListen: check.optional(.adminListen, "must be host:port") { Settings.Address($0) },
            operatorWebhook: check.optional(.operatorWebhook, "must be a URL") { $0.contains("://") ? $0 : nil },
            operatorWebhookSecret: check.optional(.operatorWebhookSecret, "must be whsec_ and base64 of 24 bytes") {
                SigningSecret($0)
            },
            encryptionKey: check.optional(.encryptionKey, "must be the base64 of 32 bytes") { SealingKey(base64: $0) },
            allowPrivateReceivers: check.cidrs(.allowPrivateReceivers),
            denyReceivers: check.cidrs(.denyReceivers), receiverPorts: check.ports(.receiverPorts),
            allowHTTPReceivers: check.parse(.allowHTTPReceivers, "must be true or false") { Bool($0) } ?? false,
            trustRoots: check.file(.trustRoots),
            egressProxy: check.optional(.egressProxy, "must be http://host:port or http://user:password@host:port") {
                EgressProxy($0)
            },
            retrySchedule: check.parse(.retrySchedule, "must be waits such as \(RetrySchedule.defaultText)") {
                RetrySchedule($0)
            } ?? .standard,
            resendBacklog: check.parse(.resendBacklog, "must be a whole number from 200") { text in
                Int64(text).flatMap { $0 >= Int64(Limits.resendChunk) ? $0 : nil }
            } ?? 0,
            rateLimits: check.parse(.rateLimits, "must be like \(RateLimits.defaultText), or off") { RateLimits($0) }
                ?? .standard,
            retention: check.parse(.retention, "must be like \(Retention.defaultText), resends at least 1d") {
                Retention($0)
            } ?? .standard,
            trustedProxies: check.cidrs(.trustedProxies),
            drainDelay: check.parse(.drainDelay, "must be a time of at most 5m, such as 10s") { text in
                let seconds = DurationText.seconds(text, maxDays: 1)
                return seconds.flatMap { $0 <= Settings.drainSecondsMax ? Duration.seconds($0) : nil }
            } ?? .zero,
            publicURL: check.optional(.publicURL, "must be an http or https URL without a query") { text in
                let isURL = text.hasPrefix("http://") || text.hasPrefix("https://")
                return isURL && !text.contains("?") && !text.contains("#") && !text.contains(" ") ? text : nil
            },
            tlsCertificate: check.file(.tlsCert), tlsKey: check.file(.tlsKey),
            logLevel: check.parse(.log, "must be one of trace, debug, info, notice, warning, error, critical") {
                Logger.Level(rawValue: $0)
            } ?? .info,
            logFormat: check.parse(.logFormat, "must be json or text") { Settings.LogFormat(rawValue: $0) } ?? .json
        )
        if (settings.tlsCertificate == nil) != (settings.tlsKey == nil) {
            check.mistakes.append("REENVIO_TLS_CERT and REENVIO_TLS_KEY must be set together")
        }
        if case .postgres = settings.store, settings.encryptionKey == nil, check.text(.encryptionKey).isEmpty {
            check.mistakes.append(
                "REENVIO_ENCRYPTION_KEY is required with PostgreSQL: the base64 of 32 bytes, the same for every node")
        }
        check.judgeOperatorWebhook(settings)
        if !check.mistakes.isEmpty { throw SettingsMistakes(mistakes: check.mistakes) }
        return settings
    }

    private struct Check {
        let texts: [SettingName: String]
        var mistakes: [String]

        func text(_ name: SettingName) -> String { texts[name] ?? name.defaultText }

        mutating func parse<T>(_ name: SettingName, _ rule: String, _ read: (String) -> T?) -> T? {
            if let value = read(text(name)) { return value }
            mistakes.append("\(name.variable) \(rule)")
            return nil
        }

        mutating func optional<T>(_ name: SettingName, _ rule: String, _ read: (String) -> T?) -> T? {
            text(name).isEmpty ? nil : parse(name, rule, read)
        }

        mutating func judgeOperatorWebhook(_ settings: Settings) {
            if (settings.operatorWebhook == nil) != (settings.operatorWebhookSecret == nil) {
                mistakes.append("REENVIO_OPERATOR_WEBHOOK and REENVIO_OPERATOR_WEBHOOK_SECRET must be set together")
            }
            guard let url = settings.operatorWebhook else { return }
            do {
                _ = try ReceiverURL(parsing: url, policy: settings.addressPolicy(listening: []))
            } catch {
                mistakes.append("REENVIO_OPERATOR_WEBHOOK \(error.rule)")
            }
        }

        mutating func cidrs(_ name: SettingName) -> [CIDR] {
            let parts = text(name).split(separator: ",").map { String($0.filter { $0 != " " }) }
            let cidrs = parts.compactMap { CIDR($0) }
            if cidrs.count != parts.count { mistakes.append("\(name.variable) must be CIDRs separated by commas") }
            return cidrs
        }

        /// Nil: any.
        mutating func ports(_ name: SettingName) -> Set<UInt16>? {
            if text(name) == "any" { return nil }
            let parts = text(name).split(separator: ",").map { $0.filter { $0 != " " } }
            let ports = Set(parts.compactMap { UInt16($0) }).subtracting([0])
            if ports.isEmpty || parts.contains(where: { UInt16($0) ?? 0 == 0 }) {
                mistakes.append("\(name.variable) must be any, or ports from 1 to 65535 separated by commas")
            }
            return ports
        }

        mutating func file(_ name: SettingName) -> String? {
            optional(name, "must name a readable file") { FileManager.default.isReadableFile(atPath: $0) ? $0 : nil }
        }
    }
}
