import ArgumentParser
import Foundation
import ReenvioEngine
import ReenvioModel
import ReenvioStore

struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Takes over payouts from another system, one JSON object a line; nothing is delivered by it.",
        discussion: """
            Each payout is stored with its history and its latest webhook as already sent, so that it can be resent. \
            A line that is stored already is unchanged: an interrupted import is simply run again. Refused lines are \
            named on standard error, and then the exit code is 1. May run beside a server: the ids of a file are \
            reserved before its first line is stored. What comes through a pipe is read once; --ids-to reserves its ids.
            """
    )

    @OptionGroup var options: CommandOptions

    @Argument(help: "The file of lines; - reads standard input.")
    var file: String

    @Option(help: "The largest id that comes through a pipe: payouts created meanwhile get larger ones.")
    var idsTo: Int64?

    func validate() throws {
        guard let idsTo, !(1...Limits.importedIDMax).contains(idsTo) else { return }
        throw ValidationError("--ids-to must be between 1 and \(Limits.importedIDMax)")
    }

    func run() async throws {
        try await reportingFailures {
            let input = try ImportFile(file)
            let settings = try await options.settings()
            let policy = settings.addressPolicy(listening: OwnAddresses.all(of: settings.listen.host))
            let store = try await settings.openStore(now: Terminal.now, manners: .yielding)
            let clock = SystemClock()
            let run = ImportRun(
                store: store, reader: ImportReader(file: input.descriptor, policy: policy, clock: clock), clock: clock,
                entropy: SystemEntropy(), idsTo: idsTo ?? 0
            )
            var progress = ImportProgress(bytes: input.bytes, isShown: Terminal.isErrorInteractive)
            do {
                let totals = try await run.run { progress.tell($0) }
                progress.end()
                try store.close()
                report(totals)
                if totals.refused > 0 { throw ExitCode(1) }
            } catch let error as ExitCode {
                throw error
            } catch {
                progress.end()
                try? store.close()
                throw Interrupted(file: file, lines: progress.totals.lines, error: error)
            }
        }
    }

    private func report(_ totals: ImportRun.Totals) {
        let words = "Imported \(totals.imported), unchanged \(totals.unchanged), refused \(totals.refused)."
        options.report(words) { writer in
            writer.member("imported", totals.imported)
            writer.member("unchanged", totals.unchanged)
            writer.member("refused", totals.refused)
        }
    }
}

/// An import that could not go on.
private struct Interrupted: Error, CustomStringConvertible {
    var file: String
    var lines: Int64
    var error: any Error

    var description: String {
        let why = "\(file): \(error)"
        return lines == 0 ? why : "\(why); \(lines) lines were dealt with before, run the import again to go on"
    }
}

/// The file of an import, or standard input.
private final class ImportFile {
    struct Failed: Error, CustomStringConvertible {
        var description: String
    }

    let descriptor: Int32
    /// Nil where nobody knows how much is to come.
    let bytes: Int64?

    init(_ path: String) throws {
        descriptor = path == "-" ? 0 : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failed(description: "\(path): \(String(cString: strerror(errno)))") }
        var about = stat()
        guard fstat(descriptor, &about) == 0 else { throw Failed(description: "\(path) cannot be read") }
        switch about.st_mode & S_IFMT {
        case S_IFDIR: throw Failed(description: "\(path) is a folder")
        case S_IFREG: bytes = Int64(about.st_size)
        default: bytes = nil
        }
    }

    deinit {
        if descriptor > 0 { close(descriptor) }
    }
}
