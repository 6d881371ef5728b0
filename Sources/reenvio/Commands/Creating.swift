import ArgumentParser
import Foundation
import ReenvioModel
import ReenvioStore

struct AccountCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "account", abstract: "Accounts: who owns merchants and keys.", subcommands: [Create.self]
    )

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Creates an account.")

        @OptionGroup var options: CommandOptions

        @Option(help: "A name for people.")
        var name: String

        func run() async throws {
            try await reportingFailures {
                try await options.withStore { store, now in
                    let id = try await store.createAccount(name: name, actor: CommandActor.name, now: now)
                    options.report("Account \(id) created.") { $0.member("account_id", id) }
                }
            }
        }
    }
}

struct MerchantCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "merchant", abstract: "Merchants: whose payouts they are.", subcommands: [Create.self]
    )

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Creates a merchant and its signing secret.")

        @OptionGroup var options: CommandOptions
        @Option(help: "The account that owns it.") var account: Int64
        @Option(help: "Its id; the next free one when left out.") var id: Int64?
        @Option(help: "A name for people.") var name: String
        @Option(help: "Branch of the account mirror, e.g. 0001 (v3).") var branch: String?
        @Option(help: "Number of the account mirror, e.g. 123456 (v3).") var number: String?
        @Option(help: "whsec_ and the base64 of 24 to 64 bytes; made when left out.") var signingSecret: String?
        @Option(help: "Fills {api_key} in the published signature; the signing secret's text when left out.")
        var compatKey: String?
        @Flag(help: "Canceled webhooks may carry status_detail.") var accountMismatch = false

        func run() async throws {
            try await reportingFailures {
                let merchant = try merchant()
                try await options.withStore { store, now in
                    let id = try await store.createMerchant(merchant, actor: CommandActor.name, now: now)
                    let secret = merchant.signingSecret.text
                    options.report("Merchant \(id) created. Its signing secret: \(secret)") { writer in
                        writer.member("merchant_id", id)
                        writer.member("signing_secret", secret)
                    }
                }
            }
        }

        /// The largest number that every JSON reader keeps exactly.
        private static let idMax: Int64 = 1 << 53

        private func merchant() throws -> NewMerchant {
            var generator = SystemRandomNumberGenerator()
            guard let secret = signingSecret.map({ SigningSecret($0) }) ?? SigningSecret(using: &generator),
                secret.text.hasPrefix(SigningSecret.prefix)
            else {
                throw CreationRefused(description: "--signing-secret must be whsec_ and the base64 of 24 to 64 bytes")
            }
            if let compatKey, !(1...255).contains(compatKey.utf8.count) {
                throw CreationRefused(description: "--compat-key must have 1 to 255 bytes")
            }
            guard (branch == nil) == (number == nil) else {
                throw CreationRefused(description: "--branch and --number belong together")
            }
            if let id, !(1...Self.idMax).contains(id) {
                throw CreationRefused(description: "--id must be between 1 and \(Self.idMax)")
            }
            return NewMerchant(
                id: id, accountID: account, name: name, branch: branch, number: number,
                accountMismatch: accountMismatch,
                signingSecret: secret, compatKey: compatKey
            )
        }
    }
}

struct KeyCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "API keys of accounts and operators.", subcommands: [Create.self]
    )

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Creates an API key and shows it once.")

        @OptionGroup var options: CommandOptions
        @Option(help: "The account whose merchants the key may act for.") var account: Int64?
        @Flag(help: "An operator key, which acts on every account.") var `operator` = false
        @Option(help: "A name for people.") var name: String
        @Option(help: "Scopes separated by commas; all but secrets:write when left out.") var scope: String?
        @Option(help: "CIDRs separated by commas from which the key may be used; anywhere when left out.")
        var cidr: String?
        @Option(help: "RFC 3339 date after which the key is refused.") var expires: String?

        func run() async throws {
            try await reportingFailures {
                guard (account != nil) != `operator` else {
                    throw CreationRefused(description: "give either --account or --operator")
                }
                let expiry = try expires.map { text in
                    guard let moment = TimeText.parseRFC3339(text) else {
                        throw CreationRefused(description: "--expires must be an RFC 3339 date with a zone")
                    }
                    return moment
                }
                var generator = SystemRandomNumberGenerator()
                let text = APIKeyText(using: &generator)
                try await options.withStore { store, now in
                    let key = APIKey(
                        id: text.id, name: name, accountID: account, scopes: try scopes(), cidrs: try cidrs(),
                        expiresAt: expiry, revokedAt: nil, createdAt: now
                    )
                    try await store.createKey(key, text: text, actor: CommandActor.name, now: now)
                    options.report("Key \(key.id) created; it is shown only now: \(text.text)") {
                        $0.member("key", text.text)
                    }
                }
            }
        }

        private func scopes() throws -> [Scope] {
            guard let scope else { return Scope.defaults }
            return try Self.parts(scope).map { part in
                if let known = Scope(rawValue: part) { return known }
                let all = Scope.allCases.map(\.rawValue).joined(separator: ", ")
                throw CreationRefused(description: "--scope knows \(all); not \(part)")
            }
        }

        private func cidrs() throws -> [CIDR] {
            try Self.parts(cidr ?? "").map { part in
                if let known = CIDR(part) { return known }
                throw CreationRefused(description: "--cidr must be CIDRs separated by commas; \(part) is none")
            }
        }

        private static func parts(_ list: String) -> [String] {
            list.split(separator: ",").map { String($0.filter { $0 != " " }) }
        }
    }
}
