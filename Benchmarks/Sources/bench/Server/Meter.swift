import Foundation

/// What a server used while something was measured, and how much of the machine was busy with other things.
struct Meter {
    private let pid: pid_t?
    private let postgres: PrivatePostgres?
    private let began: ContinuousClock.Instant
    private let serverBefore: Int
    private let postgresBefore: Int
    private let machineBefore: Int
    private let benchmarkBefore: Int

    struct Reading: Sendable {
        var seconds: Double
        /// All threads of the server.
        var cpuMicroseconds: Int
        /// All processes of its PostgreSQL, where it has one.
        var postgresMicroseconds: Int
        /// Most memory the server ever held.
        var peakKiB: Int
        /// Of all cores, neither server nor benchmark: a figure with much of it is not to be trusted.
        var othersPercent: Double
    }

    /// With no server only the benchmark itself is expected to be busy.
    init(_ pid: pid_t? = nil, postgres: PrivatePostgres? = nil) throws {
        self.pid = pid
        self.postgres = postgres
        postgresBefore = postgres?.cpuMicroseconds ?? 0
        serverBefore = try pid.map { try ProcessUsage(of: $0).cpuMicroseconds } ?? 0
        machineBefore = try Self.machineMicroseconds()
        benchmarkBefore = Self.benchmarkMicroseconds
        began = .now
    }

    func read() throws -> Reading {
        let seconds = (ContinuousClock.now - began).seconds
        let after = try pid.map { try ProcessUsage(of: $0) }
        let used = (after?.cpuMicroseconds ?? 0) - serverBefore
        let atPostgres = (postgres?.cpuMicroseconds ?? 0) - postgresBefore
        let machine = try Self.machineMicroseconds() - machineBefore
        let others = machine - used - atPostgres - (Self.benchmarkMicroseconds - benchmarkBefore)
        let all = max(seconds, 1e-6) * 1e6 * Double(ProcessInfo.processInfo.activeProcessorCount)
        return Reading(
            seconds: seconds, cpuMicroseconds: used, postgresMicroseconds: atPostgres, peakKiB: after?.peakKiB ?? 0,
            othersPercent: max(0, 100 * Double(others) / all)
        )
    }

    private static var benchmarkMicroseconds: Int {
        ProcessUsage.ownMicroseconds + ProcessUsage.endedChildrenMicroseconds
    }

    /// All but idle and waiting, over all cores.
    private static func machineMicroseconds() throws -> Int {
        let stat = try String(contentsOfFile: "/proc/stat", encoding: .utf8)
        let ticks = stat.prefix { $0 != "\n" }.split(separator: " ").compactMap { Int($0) }
        guard ticks.count >= 8 else { throw Failure("/proc/stat cannot be read") }
        let busy = ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6] + ticks[7]
        return busy * 1_000_000 / sysconf(Int32(_SC_CLK_TCK))
    }
}
