import Foundation

/// CPU and memory of a process, as Linux counts them.
struct ProcessUsage: Sendable {
    /// User and system time of all its threads, in us; the kernel counts in steps of 10 ms.
    var cpuMicroseconds: Int
    /// The most memory it ever held, in KiB.
    var peakKiB: Int

    init(of pid: pid_t) throws {
        let stat = try String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
        // The command in parentheses may hold spaces; after it comes state, and as 12th and 13th field utime and stime.
        let fields = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ").dropFirst()
        let times = fields.dropFirst(11).prefix(2).compactMap { Int($0) }
        guard times.count == 2 else { throw Failure("/proc/\(pid)/stat cannot be read") }
        cpuMicroseconds = (times[0] + times[1]) * 1_000_000 / sysconf(Int32(_SC_CLK_TCK))
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        let peak = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        peakKiB = peak?.split(separator: " ").compactMap { Int($0) }.first ?? 0
    }

    /// CPU in us of a process that is `parent` or a child of it, with the children that it has seen the end of; nil of
    /// any other.
    static func microseconds(of pid: pid_t, under parent: pid_t) -> Int? {
        guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return nil }
        let fields = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ").dropFirst()
        let numbers = fields.dropFirst().prefix(14).compactMap { Int($0) }
        guard numbers.count == 14, pid == parent || numbers[0] == Int(parent) else { return nil }
        return numbers[10...13].reduce(0, +) * 1_000_000 / sysconf(Int32(_SC_CLK_TCK))
    }

    /// CPU of this process so far.
    static var ownMicroseconds: Int { microseconds(of: __rusage_who_t(RUSAGE_SELF.rawValue)) }

    /// CPU of programs that this process started and that have ended.
    static var endedChildrenMicroseconds: Int { microseconds(of: __rusage_who_t(RUSAGE_CHILDREN.rawValue)) }

    /// The most memory that any of them ever held, in KiB.
    static var endedChildrenPeakKiB: Int {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_CHILDREN.rawValue), &usage)
        return usage.ru_maxrss
    }

    private static func microseconds(of who: __rusage_who_t) -> Int {
        var usage = rusage()
        getrusage(who, &usage)
        let seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec
        return seconds * 1_000_000 + Int(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)
    }
}

extension Duration {
    var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
