import ArgumentParser
import Foundation
import ReenvioModel
import ReenvioStore

struct MerchantCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "merchant", abstract: "Merchants: whose payouts they are.",
        subcommands: [Create.self, RotateSecret.self, Close.self, MoveURLs.self]
    )

    struct RotateSecret: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Replaces a merchant's signing secret and shows the new one once.",
            discussion:
                "Until the overlap has ended webhooks carry a signature of each, so that receivers can change over."
        )

        @OptionGroup var options: CommandOptions
        @Option(help: "The merchant.") var id: Int64
        @Option(help: "How long the old secret goes on signing, 0 to 720.")
        var overlapHours: Int64 = Limits.overlapHoursDefault
        @Flag(help: "The compat key becomes the new secret's text as well, once the overlap has ended.")
        var compatKey = false

        func run() async throws {
            try await reportingFailures {
                guard (0...Limits.overlapHoursMax).contains(overlapHours) else {
                    throw CreationRefused(
                        description: "--overlap-hours must be between 0 and \(Limits.overlapHoursMax)")
                }
                var generator = SystemRandomNumberGenerator()
                let rotation = SecretRotation(
                    merchantID: id, secret: SigningSecret(using: &generator), overlap: .seconds(overlapHours * 3_600),
                    replacesCompatKey: compatKey)
                try await options.withStore { store, now in
                    let end = try await store.rotateSecret(
                        rotation, accountID: nil, by: CommandActor.requester, now: now)
                    guard let end else { throw CreationRefused(description: "there is no merchant \(id)") }
                    let secret = rotation.secret.text
                    options.report("The new signing secret: \(secret). The old one signs until \(TimeText.zulu(end)).")
                    {
                        $0.member("merchant_id", id)
                        $0.member("signing_secret", secret)
                        $0.member("overlap_ends_at", TimeText.zulu(end))
                    }
                }
            }
        }
    }

    struct Close: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Closes a merchant: no new payouts are taken for it. What exists goes on.")

        @OptionGroup var options: CommandOptions
        @Option(help: "The merchant.") var id: Int64

        func run() async throws {
            try await reportingFailures {
                try await options.withStore { store, now in
                    guard let merchant = try await store.closeMerchant(id: id, by: CommandActor.requester, now: now),
                        let closedAt = merchant.closedAt
                    else { throw CreationRefused(description: "there is no merchant \(id)") }
                    options.report("Merchant \(id) has been closed since \(TimeText.zulu(closedAt)).") { writer in
                        writer.member("merchant_id", id)
                        writer.member("closed_at", TimeText.zulu(closedAt))
                    }
                }
            }
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Creates a merchant and its signing secret.")

        @OptionGroup var options: CommandOptions
        @Option(help: "The account that owns it.") var account: Int64
        @Option(help: "Its id; the next free one when left out.") var id: Int64?
        @Option(help: "A name for people.") var name: String
        @Option(help: "Branch of the account mirror, e.g. 0001 (v3).") var branch: String?
        @Option(help: "Number of the account mirror, e.g. 123456 (v3).") var number: String?
        @Option(help: "whsec_ and the base64 of 24 to 64 bytes; made when left out.") var signingSecret: String?
        @Option(help: "The file that holds it, or - for standard input: other users can read a command line.")
        var signingSecretFile: String?
        @Option(help: "Fills {api_key} in the published signature; the signing secret's text when left out.")
        var compatKey: String?
        @Option(help: "The file that holds it, or - for standard input.") var compatKeyFile: String?
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

        private func merchant() throws -> NewMerchant {
            var generator = SystemRandomNumberGenerator()
            if signingSecretFile == "-", compatKeyFile == "-" {
                throw CreationRefused(description: "only one of the files can be standard input")
            }
            let signingSecret = try SecretText.read(signingSecret, file: signingSecretFile, of: "--signing-secret")
            let compatKey = try SecretText.read(compatKey, file: compatKeyFile, of: "--compat-key")
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
            if let id { try CommandLimits.checkID(id) }
            try CommandLimits.checkText(name, "--name")
            try CommandLimits.checkText(branch, "--branch")
            try CommandLimits.checkText(number, "--number")
            return NewMerchant(
                id: id, accountID: account, name: name, branch: branch, number: number,
                accountMismatch: accountMismatch,
                signingSecret: secret, compatKey: compatKey
            )
        }
    }
}
