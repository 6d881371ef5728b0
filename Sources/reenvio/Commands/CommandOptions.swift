import ArgumentParser
import Foundation
import ReenvioModel
import ReenvioStore

/// What every command takes.
struct CommandOptions: ParsableArguments {
    @Option(help: "The store, e.g. sqlite:./reenvio-data/reenvio.db (REENVIO_STORE).")
    var store: String?

    @Flag(help: "Print one JSON document on standard output.")
    var json = false

    var flags: [SettingName: String] {
        store.map { [.store: $0] } ?? [:]
    }

    func settings(_ more: [SettingName: String] = [:]) async throws -> Settings {
        let reader = await SettingsReader(flags: flags.merging(more) { _, new in new })
        return try reader.settings()
    }

    /// The address rules under which a server with these settings sends.
    func policy() async throws -> AddressPolicy {
        let settings = try await settings()
        return settings.addressPolicy(listening: OwnAddresses.all(of: settings.listen.host))
    }

    /// Runs `body` on the opened store and closes it.
    func withStore<T>(_ body: (Store, Timestamp) async throws -> T) async throws -> T {
        let now = Terminal.now
        let store = try await settings().openStore(now: now)
        do {
            let result = try await body(store, now)
            try store.close()
            return result
        } catch {
            try? store.close()
            throw error
        }
    }

    /// Prints the JSON document, or the words for people.
    func report(_ words: String, _ members: (inout JSONWriter) -> Void) {
        if json {
            var writer = JSONWriter()
            writer.object(members)
            Terminal.out(String(decoding: writer.bytes, as: UTF8.self))
        } else {
            Terminal.out(words)
        }
    }
}

/// What ids given at the terminal must keep to.
enum CommandLimits {
    /// The largest number that every JSON reader keeps exactly.
    private static let idMax: Int64 = 1 << 53

    /// - Throws: `CreationRefused`, naming `--id`.
    static func checkID(_ id: Int64) throws {
        guard (1...idMax).contains(id) else {
            throw CreationRefused(description: "--id must be between 1 and \(idMax)")
        }
    }

    /// A text that is shown to people: at a terminal, on pages, in logs.
    /// - Throws: `CreationRefused`, naming the option.
    static func checkText(_ text: String?, _ option: String) throws {
        guard let text, let wrong = TextRule.fault(of: text) else { return }
        throw CreationRefused(description: "\(option) \(wrong)")
    }
}

/// Runs a command's work; what is refused or fails is one clear line on standard error and exit code 1.
func reportingFailures(_ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch let error as ExitCode {
        throw error
    } catch let error as SettingsMistakes {
        for mistake in error.mistakes { Terminal.error("reenvio: \(mistake)") }
        throw ExitCode(1)
    } catch let faults as Faults {
        for text in faults.entries.flatMap(\.texts) { Terminal.error("reenvio: \(text)") }
        throw ExitCode(1)
    } catch {
        Terminal.error("reenvio: \(error)")
        throw ExitCode(1)
    }
}
