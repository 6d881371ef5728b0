import ArgumentParser
import Foundation
import ReenvioModel
import ReenvioStore

struct KeyCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "API keys of accounts and operators.",
        subcommands: [Create.self, List.self, Revoke.self]
    )

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists every key, oldest first; never the keys' texts.")

        @OptionGroup var options: CommandOptions

        func run() async throws {
            try await reportingFailures {
                try await options.withStore { store, now in
                    let keys = try await store.listKeys()
                    let lines = keys.map { key in
                        let owner = key.accountID.map { "account \($0)" } ?? "operator"
                        return "\(key.id)  \(key.isUsable(now: now) ? "usable " : "refused")  \(owner)  \(key.name)"
                    }
                    options.report(lines.isEmpty ? "There are no keys." : lines.joined(separator: "\n")) { writer in
                        writer.array("keys") { writer in
                            for key in keys { KeyCommands.write(key, into: &writer) }
                        }
                    }
                }
            }
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Ends the use of a key, within a second and for good.")

        @OptionGroup var options: CommandOptions
        @Argument(help: "The key's id, from `key list`: the part between rnv_ and the secret.") var keyID: String

        func run() async throws {
            try await reportingFailures {
                try await options.withStore { store, now in
                    guard let key = try await store.revokeKey(id: keyID, by: CommandActor.requester, now: now),
                        let revokedAt = key.revokedAt
                    else { throw CreationRefused(description: "there is no key \(keyID)") }
                    options.report("Key \(key.id) has been revoked since \(TimeText.zulu(revokedAt)).") { writer in
                        writer.member("key_id", key.id)
                        writer.member("revoked_at", TimeText.zulu(revokedAt))
                    }
                }
            }
        }
    }

    static func write(_ key: APIKey, into writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("key_id", key.id)
            writer.member("name", key.name)
            writer.member("account_id", key.accountID)
            writer.member("operator", key.isOperator)
            writer.array("scopes") { writer in
                for scope in key.hasEveryScope ? Scope.allCases : key.scopes { writer.value(scope.rawValue) }
            }
            writer.member("merchants") { writer in
                guard let merchants = key.merchants else { return writer.value(nil as String?) }
                writer.array { writer in
                    for id in merchants.sorted() { writer.value(id) }
                }
            }
            writer.array("cidrs") { writer in
                for cidr in key.cidrs { writer.value(cidr.description) }
            }
            writer.member("expires_at", key.expiresAt.map(TimeText.zulu))
            writer.member("revoked_at", key.revokedAt.map(TimeText.zulu))
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Creates an API key and shows it once.",
            discussion: """
                Scopes: \(Scope.allCases.map(\.rawValue).joined(separator: ", ")).
                Only an operator key may have \(Scope.operatorOnly.map(\.rawValue).joined(separator: ", ")). Without \
                --scope a key of an account has every other scope but secrets:write, and an operator key every scope, \
                those of later releases included.
                """)

        @OptionGroup var options: CommandOptions
        @Option(help: "The account whose merchants the key may act for.") var account: Int64?
        @Flag(help: "An operator key, which acts on every account.") var `operator` = false
        @Option(help: "A name for people.") var name: String
        @Option(help: "Scopes separated by commas.") var scope: String?
        @Option(help: "The only merchant of the account that the key may act for; may be repeated.")
        var merchant: [Int64] = []
        @Option(help: "CIDRs separated by commas from which the key may be used; anywhere when left out.")
        var cidr: String?
        @Option(help: "RFC 3339 date after which the key is refused.") var expires: String?

        func run() async throws {
            try await reportingFailures {
                try CommandLimits.checkText(name, "--name")
                guard (account != nil) != `operator` else {
                    throw CreationRefused(description: "give either --account or --operator")
                }
                let (text, made) = try key()
                try await options.withStore { store, now in
                    var key = made
                    key.createdAt = now
                    try await store.createKey(key, text: text, actor: CommandActor.name, now: now)
                    options.report("Key \(key.id) created; it is shown only now: \(text.text)") {
                        $0.member("key", text.text)
                    }
                }
            }
        }

        private func key() throws -> (text: APIKeyText, key: APIKey) {
            let expiry = try expires.map { text in
                guard let moment = TimeText.parseRFC3339(text) else {
                    throw CreationRefused(description: "--expires must be an RFC 3339 date with a zone")
                }
                return moment
            }
            guard merchant.count <= Limits.keyMerchants else {
                throw CreationRefused(description: "--merchant may be given \(Limits.keyMerchants) times at most")
            }
            if `operator`, !merchant.isEmpty {
                throw CreationRefused(description: "--merchant needs --account: an operator key acts on every account")
            }
            var generator = SystemRandomNumberGenerator()
            let text = APIKeyText(using: &generator)
            let key = APIKey(
                id: text.id, name: name, accountID: account, scopes: try scopes(),
                hasEveryScope: `operator` && scope == nil, merchants: merchant.isEmpty ? nil : Set(merchant),
                cidrs: try cidrs(), expiresAt: expiry, revokedAt: nil, createdAt: Terminal.now)
            return (text, key)
        }

        private func scopes() throws -> [Scope] {
            guard let scope else {
                if `operator` { return [] }
                return Scope.defaults.filter { merchant.isEmpty || $0 != .auditRead }
            }
            let scopes = try Self.parts(scope, of: "--scope").map { part in
                if let known = Scope(rawValue: part) { return known }
                let all = Scope.allCases.map(\.rawValue).joined(separator: ", ")
                throw CreationRefused(description: "--scope knows \(all); not \(part)")
            }
            if !`operator`, let foreign = scopes.first(where: Scope.operatorOnly.contains) {
                throw CreationRefused(description: "--scope \(foreign.rawValue) needs --operator")
            }
            if !merchant.isEmpty, scopes.contains(.auditRead) {
                throw CreationRefused(
                    description: "--scope audit:read and --merchant exclude each other: the audit is the account's")
            }
            return scopes
        }

        private func cidrs() throws -> [CIDR] {
            guard let cidr else { return [] }
            return try Self.parts(cidr, of: "--cidr").map { part in
                if let known = CIDR(part) { return known }
                throw CreationRefused(description: "--cidr must be CIDRs separated by commas; \(part) is none")
            }
        }

        /// - Throws: where one of them is empty, or all are: an empty variable of a script must not widen a key.
        private static func parts(_ list: String, of option: String) throws -> [String] {
            try list.split(separator: ",", omittingEmptySubsequences: false).map { part in
                let text = String(part.filter { $0 != " " })
                if text.isEmpty { throw CreationRefused(description: "\(option) is empty, or a part of it is") }
                return text
            }
        }
    }
}
