import ArgumentParser
import ReenvioModel
import ReenvioStore

extension MerchantCommands {
    struct MoveURLs: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "move-urls",
            abstract: "Moves a merchant's notification URLs and registrations to another origin.",
            discussion: """
                Scheme, host and port change; path and query stay. Open deliveries follow. Tokens of registrations are
                cleared: they are not sent to a new origin. Interrupted, run it again.
                """
        )

        @OptionGroup var options: CommandOptions
        @Option(help: "The merchant.") var id: Int64
        @Option(help: "The old origin, e.g. https://old.example.") var from: String
        @Option(help: "The new origin, judged like a new URL.") var to: String
        @Flag(help: "Only say what would move.") var dryRun = false

        func run() async throws {
            try await reportingFailures {
                let policy = try await options.policy()
                try await options.withStore { store, now in
                    guard try await store.merchant(id: id, accountID: nil) != nil else {
                        throw CreationRefused(description: "there is no merchant \(id)")
                    }
                    var move = try self.move(policy)
                    var sum = OriginMoved()
                    repeat {
                        let moved = try await store.moveOrigin(move, by: CommandActor.requester, now: now)
                        sum.add(moved)
                        move.after = moved.next
                        if Terminal.isErrorInteractive {
                            Terminal.error("\rmoved \(sum.payouts) payouts ", terminator: "")
                        }
                    } while move.after != nil
                    if Terminal.isErrorInteractive { Terminal.error("") }
                    store.announceWork()
                    options.report(words(sum)) { sum.writeMembers(of: move, into: &$0) }
                }
            }
        }

        private func move(_ policy: AddressPolicy) throws -> OriginMove {
            var writer = JSONWriter()
            writer.object { writer in
                writer.member("from", from)
                writer.member("to", to)
                writer.member("dry_run", dryRun)
            }
            guard case .object(let body) = try JSONParser.parse(writer.bytes) else { throw Faults() }
            return try OriginMove.parse(body, merchantID: id, policy: policy)
        }

        private func words(_ sum: OriginMoved) -> String {
            var lines = [
                "\(dryRun ? "Would move" : "Moved") \(sum.payouts) payouts, \(sum.openDeliveries) open deliveries and "
                    + "\(sum.registrations) registrations."
            ]
            if sum.tokensCleared > 0 {
                lines.append(
                    "\(sum.tokensCleared) registrations \(dryRun ? "would lose" : "lost") their tokens: "
                        + "set new ones for the new origin.")
            }
            if sum.tooLong > 0 { lines.append("\(sum.tooLong) payouts stay: their URL would be too long.") }
            return lines.joined(separator: "\n")
        }
    }
}

struct PayoutCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "payout", abstract: "Single payouts.", subcommands: [SetURL.self])

    struct SetURL: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "set-url",
            abstract: "Gives a payout another notification URL; its open deliveries follow.",
            discussion: "A payout without one gets one. What happened before stays untold."
        )

        @OptionGroup var options: CommandOptions
        @Argument(help: "The payout's id.") var id: Int64
        @Option(help: "The new URL, judged like one of a new payout.") var url: String?
        @Option(help: "The file that holds it, or - for standard input: it may have a token in its query.")
        var urlFile: String?

        func validate() throws {
            if (url == nil) == (urlFile == nil) { throw ValidationError("give either --url or --url-file") }
        }

        func run() async throws {
            try await reportingFailures {
                let policy = try await options.policy()
                var writer = JSONWriter()
                let url = try SecretText.read(url, file: urlFile, of: "--url")
                writer.object { $0.member("notification_url", url) }
                guard case .object(let body) = try JSONParser.parse(writer.bytes) else { throw Faults() }
                var fields = FieldReader(body)
                let parsed = fields.receiverURL("notification_url", required: true, policy: policy)
                try fields.throwFaults()
                guard let parsed else { throw fields.faults }
                try await options.withStore { store, now in
                    guard try await store.setPayoutURL(id: id, parsed, by: CommandActor.requester, now: now) else {
                        throw CreationRefused(description: "there is no payout \(id)")
                    }
                    options.report("Webhooks of payout \(id) go to \(parsed.origin) from now on.") { writer in
                        writer.member("payout_id", id)
                        writer.member("notification_url", parsed.text)
                    }
                }
            }
        }
    }
}
