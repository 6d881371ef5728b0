import ArgumentParser
import Foundation
import ReenvioModel
import ReenvioStore

struct EraseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "erase",
        abstract: "Destroys people's data: of one payout, or of every payout and QR code that names a document.",
        discussion: """
            Ids, amounts and history stay. A resend of what was erased counts as failed. By document everything
            stored so far is looked through; what comes in meanwhile is not.
            """
    )

    @OptionGroup var options: CommandOptions
    @Option(help: "The payout's id.") var payout: Int64?
    @Option(help: "A CPF or CNPJ; points, dashes, slashes and the case of letters do not matter.") var document: String?
    @Option(help: "The file that holds it, or - for standard input: other users can read a command line.")
    var documentFile: String?

    func validate() throws {
        if [payout != nil, document != nil, documentFile != nil].count(where: { $0 }) != 1 {
            throw ValidationError("give either --payout, --document or --document-file")
        }
    }

    func run() async throws {
        try await reportingFailures {
            let document = try SecretText.read(document, file: documentFile, of: "--document")
            try await options.withStore { store, now in
                let erased: Int
                if let payout {
                    erased = try await store.eraseParties(
                        payoutIDs: [payout], by: CommandActor.requester, now: now
                    ).count
                    if erased == 0 { throw CreationRefused(description: "there is no payout \(payout)") }
                } else {
                    erased = try await erase(document ?? "", store, now)
                }
                options.report("The people's data of \(erased) payouts and QR codes is gone.") {
                    $0.member("erased", erased)
                }
            }
        }
    }

    private func erase(_ document: String, _ store: Store, _ now: Timestamp) async throws -> Int {
        guard let document = DocumentNumber(written: document) else {
            throw CreationRefused(
                description: "--document must have the 11 digits of a CPF or the 14 digits or letters of a CNPJ")
        }
        var erased = 0
        var seen = 0
        var next: PartiesKey?
        repeat {
            let page = try await store.findParties(document: document, after: next)
            if !page.payoutIDs.isEmpty {
                erased += try await store.eraseParties(
                    payoutIDs: page.payoutIDs, by: CommandActor.requester, now: now
                ).count
            }
            seen += page.seen
            next = page.next
            if Terminal.isErrorInteractive {
                Terminal.error("\rlooked at \(seen) payouts, erased \(erased) ", terminator: "")
            }
        } while next != nil
        repeat {
            let page = try await store.findQRCodes(document: document, after: next)
            erased += try await store.eraseQRCodes(ids: page.ids, by: CommandActor.requester, now: now).count
            next = page.next
        } while next != nil
        if Terminal.isErrorInteractive { Terminal.error("") }
        return erased
    }
}
