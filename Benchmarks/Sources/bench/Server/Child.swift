import Foundation

/// A program that runs beside the benchmark.
final class Child: Sendable {
    private let process: Process

    var pid: pid_t { process.processIdentifier }
    var isRunning: Bool { process.isRunning }

    init(
        _ path: String, _ arguments: [String], environment: [String: String] = [:], folder: String? = nil,
        output: FileHandle = .nullDevice, errors: FileHandle = .standardError
    ) throws {
        process = Process()
        process.executableURL = URL(filePath: path)
        process.arguments = arguments
        process.environment = Self.environment(adding: environment)
        if let folder { process.currentDirectoryURL = URL(filePath: folder) }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = errors
        do {
            try Cleanup.starting {
                try Self.withNoSignalBlocked { try process.run() }
                return process.processIdentifier
            }
        } catch let error as Failure {
            throw error
        } catch {
            throw Failure("\(path) cannot be started: \(error.localizedDescription)")
        }
    }

    /// Asks it to end, and insists after `patience`.
    func stop(_ signal: Int32 = SIGTERM, patience: Duration = .seconds(15)) async {
        kill(pid, signal)
        let isGone = try? await eventually("the end of a child", within: patience) { self.isRunning ? nil : true }
        if isGone == nil { kill(pid, SIGKILL) }
        process.waitUntilExit()
        Cleanup.remove(child: pid)
    }

    /// Runs a program to its end and returns what it printed.
    static func output(
        of path: String, _ arguments: [String], environment: [String: String] = [:], folder: String? = nil
    ) throws -> String {
        let pipe = Pipe()
        let child = try Child(
            path, arguments, environment: environment, folder: folder, output: pipe.fileHandleForWriting
        )
        try? pipe.fileHandleForWriting.close()
        let data = try pipe.fileHandleForReading.readToEnd() ?? Data()
        child.process.waitUntilExit()
        Cleanup.remove(child: child.pid)
        guard child.process.terminationStatus == 0 else {
            throw Failure("\(path) \(arguments.joined(separator: " ")) failed: exit \(child.process.terminationStatus)")
        }
        return String(decoding: data, as: UTF8.self)
    }

    /// A child inherits the signal mask of the thread that starts it, and those of the runtime block most signals.
    private static func withNoSignalBlocked(_ body: () throws -> Void) rethrows {
        var none = sigset_t()
        var before = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        try body()
    }

    /// The caller's, without its own settings of Reenvio.
    private static func environment(adding more: [String: String]) -> [String: String] {
        ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("REENVIO_") }.merging(more) { _, new in new }
    }
}

/// A server that says where it listens in one JSON line on its standard output.
struct Listener: Sendable {
    let child: Child
    let address: Address

    private struct Line: Decodable {
        var listening: String
    }

    static func start(
        _ path: String, _ arguments: [String], environment: [String: String] = [:], folder: String? = nil,
        errors: FileHandle = .standardError
    ) async throws -> Listener {
        let pipe = Pipe()
        let child = try Child(
            path, arguments, environment: environment, folder: folder, output: pipe.fileHandleForWriting, errors: errors
        )
        try? pipe.fileHandleForWriting.close()
        do {
            let line = try firstLine(pipe.fileHandleForReading.fileDescriptor)
            let text = try JSONDecoder().decode(Line.self, from: Data(line)).listening
            guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]) else {
                throw Failure("no address in \(text)")
            }
            return Listener(child: child, address: Address(host: String(text[..<colon]), port: port))
        } catch {
            await child.stop(SIGKILL)
            throw Failure("\(path) did not start: \(error)")
        }
    }

    private static func firstLine(_ file: Int32) throws -> [UInt8] {
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while true {
            var wait = pollfd(fd: file, events: Int16(POLLIN), revents: 0)
            guard poll(&wait, 1, 20_000) == 1 else { throw Failure("nothing on its standard output for 20 s") }
            guard read(file, &byte, 1) == 1 else { throw Failure("its standard output ended") }
            if byte == UInt8(ascii: "\n") { return line }
            line.append(byte)
        }
    }
}
