import Foundation

/// Something that this machine lacked for an attempt. It says nothing of the receiver: the attempt was none, and its
/// delivery comes due again soon.
package enum SenderShortage: String, Error, Sendable, CaseIterable {
    /// Open files, of the process or the system.
    case descriptors
    /// Local ports to call from.
    case ports
    /// Memory or buffers of the system.
    case memory
    /// Threads for name resolution.
    case threads

    init?(errno code: CInt) {
        switch code {
        case EMFILE, ENFILE: self = .descriptors
        case EADDRNOTAVAIL, EAGAIN: self = .ports
        case ENOBUFS, ENOMEM: self = .memory
        default: return nil
        }
    }
}
