import ArgumentParser
import ReenvioEngine
import ReenvioModel
import ReenvioStore

struct ClockCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clock", abstract: "The wall clock that what is too old is removed by.",
        subcommands: [Accept.self])

    struct Accept: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Says that this machine's wall clock is right, after a gap that no server can check by itself.")

        @OptionGroup var options: CommandOptions

        func run() async throws {
            try await reportingFailures {
                try await options.withStore { store, _ in
                    let reading = SystemClock().reading
                    try await store.acceptClock(reading, by: CommandActor.requester)
                    let time = TimeText.zulu(reading.wall)
                    options.report("Accepted: it is \(time). Running servers learn it within a minute.") {
                        $0.member("accepted", time)
                    }
                }
            }
        }
    }
}
