import ArgumentParser
import Foundation
import Logging
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ServiceLifecycle
import UnixSignals

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs the server.",
        discussion: """
            Prints one JSON line on standard output when it accepts connections. Ends on SIGTERM or SIGINT: is not ready
            any more, works on for REENVIO_DRAIN_DELAY (a second signal skips the rest of it), then stops accepting,
            finishes or releases what is in flight, and exits with 0 within 10 seconds; with 1 where something hangs.
            """
    )

    @OptionGroup var options: CommandOptions

    @Option(help: "host:port to listen on; port 0 picks one (REENVIO_LISTEN).")
    var listen: String?

    @ArgumentParser.Flag(help: "Begin with every receiver paused, as after a restore; `reenvio release` lets them go.")
    var hold = false

    func run() async throws {
        try await reportingFailures {
            signal(SIGPIPE, SIG_IGN)
            let settings = try await options.settings(listen.map { [.listen: $0] } ?? [:])
            let logger = LogSetup.logger(settings)
            defer { LogWriter.shared.flush() }
            for warning in settings.warnings { logger.warning("\(warning)") }
            let openFiles = LocalResources.raiseOpenFiles()
            let registry = MetricsRegistry()
            Self.sayDamage(settings, logger)
            let store = try await settings.openStore(now: Terminal.now, patience: .serving) {
                MeteredEngine($0, registry)
            }
            if let fault = settings.sharedKeyFile { throw fault }
            let lock = try await Self.lock(settings)
            if let copied = try await store.copiedTo() {
                throw StoreError.unavailable(
                    "it was \(copied), and both would deliver; `reenvio copy --from ... --undo` takes that back")
            }
            if hold {
                let held = try await store.holdReceivers(by: CommandActor.requester, now: Terminal.now)
                logger.notice("receivers are held until they are released", metadata: ["count": "\(held)"])
            }
            let clock = try await ServerClock.start(on: store)
            let isDraining = ReenvioEngine.Flag()
            let services = try Wiring.services(
                settings: settings, store: store, clock: clock, registry: registry, isDraining: isDraining,
                logger: logger
            ) { addresses in
                Self.log(openFiles: openFiles, logger)
                var writer = JSONWriter()
                writer.object { writer in
                    writer.member("listening", addresses.listening)
                    if let admin = addresses.admin { writer.member("admin", admin) }
                }
                Terminal.out(String(decoding: writer.bytes, as: UTF8.self))
            }
            // Trapped before the address is announced, and until the end: a signal that comes then changes nothing.
            let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
            let exitWatch = ExitWatch(delay: settings.drainDelay, logger: logger)
            let drain = Drain(signals: signals, delay: settings.drainDelay, isDraining: isDraining, logger: logger)
            var configuration = ServiceGroupConfiguration(
                services: services.map { .init(service: $0) }
                    + [.init(service: drain, successTerminationBehavior: .gracefullyShutdownGroup)],
                logger: logger)
            configuration.maximumGracefulShutdownDuration = .seconds(9)
            try await ServiceGroup(configuration: configuration).run()
            withExtendedLifetime((signals, exitWatch)) {}
            try store.close()
            withExtendedLifetime(lock) {}
        }
    }

    /// Before the store is opened: what the log of a killed server cannot give back is gone then.
    private static func sayDamage(_ settings: Settings, _ logger: Logger) {
        guard case .sqlite(let path) = settings.store, let log = try? SQLiteLog(of: StorePath(path)) else { return }
        for damage in log.damage {
            logger.error(
                "the log of the store is damaged; what it lacks had been accepted", metadata: ["error": "\(damage)"])
        }
    }

    /// Nodes share a PostgreSQL; a SQLite file has one server.
    private static func lock(_ settings: Settings) async throws -> StoreLock? {
        guard case .sqlite(let path) = settings.store else { return nil }
        return try await StoreLock.take(StorePath(path))
    }

    /// Each connection is an open file: the limit that a shell or service manager gives is a default, not a wish.
    private static func log(openFiles files: UInt64, _ logger: Logger) {
        let metadata: Logger.Metadata = ["open_files": "\(files)"]
        if files < Limits.openFilesWanted {
            logger.warning("the limit of open files is low; deliveries may have to wait", metadata: metadata)
        } else {
            logger.info("the limit of open files", metadata: metadata)
        }
    }
}
