package import Foundation

/// Runs other programs. Not by Foundation's `Process`, which copies the table of open files while other tests open and
/// close theirs, and sometimes reads beyond its end: then the whole run of tests crashes.
package enum ChildProgram {
    package struct Failed: Error, CustomStringConvertible {
        package var description: String
    }

    /// Runs it to its end.
    /// - Throws: what it printed, where its status is not 0.
    package static func run(_ program: String, _ arguments: [String], in folder: String) throws {
        let output = NSTemporaryDirectory() + "/reenvio-child-" + UUID().uuidString
        defer { unlink(output) }
        let child = try spawn(["/usr/bin/env", "-C", folder, program] + arguments, output: output)
        var status: CInt = 0
        while waitpid(child, &status, 0) < 0, errno == EINTR {}
        if status != 0 {
            let text = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
            throw Failed(description: "\(program): \(text)")
        }
    }

    /// Starts it, with its output in a file.
    package static func spawn(
        _ command: [String], input: CInt? = nil, output: String = "/dev/null"
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // A socket of another test that a child keeps open would never be seen to close by its peer.
        for descriptor in CInt(3)..<4_096 where fcntl(descriptor, F_GETFD) >= 0 {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        }
        var arguments = command.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var child: pid_t = 0
        let code = posix_spawn(&child, command[0], &actions, nil, &arguments, environ)
        guard code == 0 else {
            throw Failed(description: "\(command[0]) did not start: \(String(cString: strerror(code)))")
        }
        return child
    }
}
