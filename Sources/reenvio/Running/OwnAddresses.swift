import NIOCore
import ReenvioEngine
import ReenvioModel

/// The addresses at which this server can be reached, so that no delivery is ever sent to itself: the one it listens
/// on, those its host name has, or for a wildcard all of this machine. Port 0, a convenience of tests, guards nothing.
enum OwnAddresses {
    static func all(of host: String) -> [IPAddress] {
        guard let address = IPAddress(host) else { return (try? systemLookup(host)) ?? [] }
        guard address.isUnspecified else { return [address] }
        let devices = (try? System.enumerateDevices()) ?? []
        return [address] + devices.compactMap { $0.address?.ipAddress.flatMap { IPAddress($0) } }
    }
}
