import ArgumentParser
import Foundation
import ReenvioModel
import ReenvioStore

struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit", abstract: "Lists who did what, newest first."
    )

    @OptionGroup var options: CommandOptions
    @OptionGroup var paging: PagingOptions

    func run() async throws {
        try await reportingFailures {
            let page = try paging.page()
            try await options.withStore { store, _ in
                let found = try await store.listAudit(page)
                let lines = found.rows.map { row in
                    let details = row.parameters.isEmpty ? "" : " (\(row.parameters))"
                    let address = row.requester.address.map { " from \($0)" } ?? ""
                    return "\(TimeText.zulu(row.at))  \(row.requester.actor)\(address)  \(row.action)  "
                        + "\(row.target)\(details)"
                }
                options.report(paging.words(lines, none: "The audit is empty.", next: found.next)) { writer in
                    writer.array("data") { writer in
                        for row in found.rows { row.write(into: &writer) }
                    }
                    writer.member("next", found.next)
                }
            }
        }
    }
}
