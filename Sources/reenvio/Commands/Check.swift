import ArgumentParser
import Foundation
import ReenvioEngine
import ReenvioModel
import ReenvioStore

struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints the settings in force, secrets hidden, and names every mistake at once."
    )

    @OptionGroup var options: CommandOptions
    @ArgumentParser.Flag(
        help: "Also let the engine check its file, then count everything again from the rows. Reads all of it.")
    var deep = false

    func run() async throws {
        try await reportingFailures {
            let reader = await SettingsReader(flags: options.flags)
            var problems: [String] = []
            var warnings = reader.unknown.map { "\($0) is not a setting of this version; it is ignored" }
            do {
                let settings = try reader.settings()
                warnings += settings.warnings
                var check = StoreCheck(settings, isDeep: deep)
                await check.run()
                problems += check.problems
                warnings += check.warnings
            } catch let error as SettingsMistakes {
                problems = error.mistakes
            }
            if options.json { printJSON(reader, problems, warnings) } else { printText(reader, problems, warnings) }
            if !problems.isEmpty { throw ExitCode(1) }
        }
    }

    private func shown(_ name: SettingName, _ reader: SettingsReader) -> String {
        guard let text = reader.texts[name] else { return name.defaultText }
        switch name {
        case .store: return StorePlace.shown(text)
        // A text that is no proxy may hold a password anywhere.
        case .egressProxy: return EgressProxy(text).map { Self.shown($0) } ?? "(hidden)"
        default: return name.isSecret ? "(hidden)" : text
        }
    }

    private static func shown(_ proxy: EgressProxy) -> String {
        proxy.authorization == nil ? proxy.description : "\(proxy.description) (credentials hidden)"
    }

    private func printJSON(_ reader: SettingsReader, _ problems: [String], _ warnings: [String]) {
        options.report("") { writer in
            writer.object("settings") { writer in
                for name in SettingName.allCases { writer.member(name.variable, shown(name, reader)) }
            }
            writer.array("problems") { writer in
                for problem in problems { writer.value(problem) }
            }
            writer.array("warnings") { writer in
                for warning in warnings { writer.value(warning) }
            }
        }
    }

    private func printText(_ reader: SettingsReader, _ problems: [String], _ warnings: [String]) {
        let width = SettingName.allCases.map(\.variable.count).max() ?? 0
        for name in SettingName.allCases {
            let source = reader.sources[name] ?? "default"
            let padding = String(repeating: " ", count: width - name.variable.count)
            Terminal.out("\(name.variable)\(padding)  \(shown(name, reader))  (\(source))")
        }
        for warning in warnings { Terminal.error("warning: \(warning)") }
        for problem in problems { Terminal.error("reenvio: \(problem)") }
        if problems.isEmpty {
            Terminal.out(
                deep ? "Everything is in order, and every count agrees with its rows." : "Everything is in order.")
        }
    }
}

struct Migrate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Creates the store or brings it up to date.")

    @OptionGroup var options: CommandOptions

    func run() async throws {
        try await reportingFailures {
            let settings = try await options.settings()
            let (store, applied) = try await settings.migrateStore(now: Terminal.now)
            try store.close()
            let words =
                applied.isEmpty
                ? "The store is up to date." : "Applied: \(applied.map(String.init).joined(separator: ", "))."
            options.report(words) { writer in
                writer.array("applied") { writer in
                    for version in applied { writer.value(version) }
                }
            }
        }
    }
}
