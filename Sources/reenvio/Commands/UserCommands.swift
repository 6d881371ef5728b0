import ArgumentParser
import Foundation
import ReenvioModel
import ReenvioStore

struct UserCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "user", abstract: "Users of the v3 API: who signs in with a client id and secret.",
        subcommands: [Create.self, Deactivate.self, HMACKey.self]
    )

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Creates a user and shows its client secret once.",
            discussion: "It may act on every merchant of the account, later ones included, or only on those named.")

        @OptionGroup var options: CommandOptions
        @Option(help: "The account that it belongs to.") var account: Int64
        @Option(help: "Its id; the next free one when left out.") var id: Int64?
        @Option(help: "The only merchants that it may act on, separated by commas.") var merchants: String?

        func run() async throws {
            try await reportingFailures {
                if let id { try CommandLimits.checkID(id) }
                var generator = SystemRandomNumberGenerator()
                let credentials = ClientCredentials(using: &generator)
                let user = NewUser(id: id, accountID: account, merchants: try policies(), credentials: credentials)
                try await options.withStore { store, now in
                    let id = try await store.createUser(user, by: CommandActor.requester, now: now)
                    let words = """
                        User \(id) created. Its client id: \(credentials.clientID)
                        Its client secret, shown only now: \(credentials.secret)
                        """
                    options.report(words) { writer in
                        writer.member("user_id", id)
                        writer.member("client_id", credentials.clientID)
                        writer.member("client_secret", credentials.secret)
                    }
                }
            }
        }

        private func policies() throws -> Set<Int64>? {
            guard let merchants else { return nil }
            let parts = merchants.split(separator: ",", omittingEmptySubsequences: false)
            return Set(
                try parts.map { part in
                    if let id = Int64(part.filter { $0 != " " }) { return id }
                    throw CreationRefused(description: "--merchants must be merchant ids separated by commas")
                })
        }
    }

    struct Deactivate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Ends a user's sign-ins, and at once the use of its tokens, for good.")

        @OptionGroup var options: CommandOptions
        @Option(help: "The user.") var id: Int64

        func run() async throws {
            try await reportingFailures {
                try await options.withStore { store, now in
                    guard let user = try await store.deactivateUser(id: id, by: CommandActor.requester, now: now),
                        let deactivatedAt = user.deactivatedAt
                    else { throw CreationRefused(description: "there is no user \(id)") }
                    options.report("User \(id) has been deactivated since \(TimeText.zulu(deactivatedAt)).") { writer in
                        writer.member("user_id", id)
                        writer.member("deactivated_at", TimeText.zulu(deactivatedAt))
                    }
                }
            }
        }
    }

    struct HMACKey: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "hmac-key", abstract: "Sets the key with which a user signs what it registers; shown once.",
            discussion: "From then on its registrations need the header hmac, at once. It cannot be taken back.")

        @OptionGroup var options: CommandOptions
        @Option(help: "The user.") var id: Int64
        @Option(help: "The key, 1 to 255 bytes; made when left out.") var key: String?
        @Option(help: "The file that holds it, or - for standard input: other users can read a command line.")
        var keyFile: String?

        func run() async throws {
            try await reportingFailures {
                let key = try SecretText.read(key, file: keyFile, of: "--key")
                if let key, !(1...255).contains(key.utf8.count) {
                    throw CreationRefused(description: "--key must have 1 to 255 bytes")
                }
                var generator = SystemRandomNumberGenerator()
                let hmacKey = key ?? Hex.text((0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) })
                try await options.withStore { store, now in
                    guard try await store.setHMACKey(hmacKey, userID: id, by: CommandActor.requester, now: now) else {
                        throw CreationRefused(description: "there is no user \(id)")
                    }
                    options.report("User \(id) has to sign with this key from now on: \(hmacKey)") {
                        $0.member("hmac_key", hmacKey)
                    }
                }
            }
        }
    }
}

struct TokenKeyCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token-key", abstract: "The keys that access tokens are signed with.", subcommands: [Rotate.self]
    )

    struct Rotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a new signing key.",
            discussion: """
                Running servers sign with it within a second. Tokens of the key before it stay valid until they expire;
                those of older keys are refused. So rotate twice to end every token that exists.
                """)

        @OptionGroup var options: CommandOptions

        func run() async throws {
            try await reportingFailures {
                var generator = SystemRandomNumberGenerator()
                let key = TokenKey(using: &generator)
                try await options.withStore { store, now in
                    try await store.rotateTokenKey(key, by: CommandActor.requester, now: now)
                    options.report("Tokens are signed with key \(key.id) from now on.") { $0.member("kid", key.id) }
                }
            }
        }
    }
}
