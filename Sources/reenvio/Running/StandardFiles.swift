import Foundation

/// Standard input, output and error.
enum StandardFiles {
    /// Opens what was closed when the program was started: otherwise the first files and sockets of the program get
    /// these numbers, and what is printed goes into them.
    static func open() {
        for file in CInt(0)...2 where fcntl(file, F_GETFD) < 0 && errno == EBADF {
            // The lowest free number is this one.
            _ = Foundation.open("/dev/null", O_RDWR)
        }
    }

    /// Whatever this program makes, the store and its log, copies, keys and folders, is for its own user alone,
    /// whatever the shell or the service manager allows.
    static func keepPrivate() {
        umask(0o077)
    }
}
