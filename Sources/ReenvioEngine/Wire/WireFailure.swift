import Foundation
import NIOCore
import NIOSSL
import ReenvioModel

/// Why a connection or a handshake failed, in the closed list of reasons (`docs/contract.md` 13.10).
enum WireFailure {
    /// The reason for an error that NIO or NIOSSL reported. `certificate` is what the other side presented.
    static func reason(of error: any Error, certificate: NIOSSLCertificate?, now: Timestamp) -> AttemptFailure {
        switch error {
        case let error as IOError: reason(of: error)
        case is ChannelError: .connectionFailed
        case let error as NIOSSLError: reason(of: error, certificate: certificate, now: now)
        case is NIOSSLExtraError: .tlsFailed
        case is WrongHost: .tlsWrongHost
        case is BoringSSLError: .tlsFailed
        default: .malformedResponse
        }
    }

    /// Why a socket could not be opened.
    static func connectReason(of error: any Error) -> AttemptFailure {
        switch error {
        case ChannelError.connectTimeout: .timedOut
        case let error as IOError where error.errnoCode == ECONNREFUSED: .connectionRefused
        case let error as IOError where error.errnoCode == ETIMEDOUT: .timedOut
        default: .connectionFailed
        }
    }

    /// What this machine lacked, where that is all that an error says. `address` is where it was connecting to.
    static func shortage(behind error: any Error, connectingTo address: SocketAddress? = nil) -> SenderShortage? {
        if let shortage = error as? SenderShortage { return shortage }
        guard let code = (error as? IOError)?.errnoCode else { return nil }
        guard code == EADDRNOTAVAIL else { return SenderShortage(errno: code) }
        return address.map(LocalResources.hasSource) == true ? .ports : nil
    }

    private static func reason(of error: IOError) -> AttemptFailure {
        switch error.errnoCode {
        case ECONNRESET, EPIPE: .connectionReset
        case ECONNREFUSED: .connectionRefused
        case ETIMEDOUT: .timedOut
        default: .connectionFailed
        }
    }

    /// BoringSSL says only that the certificate did not verify; whether time was the trouble, the certificate says.
    private static func reason(of error: NIOSSLError, certificate: NIOSSLCertificate?, now: Timestamp) -> AttemptFailure
    {
        switch error {
        case .handshakeFailed(.sslError(let stack)):
            guard stack.contains(where: { $0.description.contains("CERTIFICATE_VERIFY_FAILED") }) else {
                return .tlsFailed
            }
            guard let certificate else { return .tlsUntrusted }
            let seconds = time_t(now.seconds)
            let valid = certificate.notValidBefore <= seconds && seconds <= certificate.notValidAfter
            return valid ? .tlsUntrusted : .tlsExpired
        case .noCertificateToValidate, .unableToValidateCertificate: return .tlsUntrusted
        case .uncleanShutdown: return .connectionReset
        default: return .tlsFailed
        }
    }
}
