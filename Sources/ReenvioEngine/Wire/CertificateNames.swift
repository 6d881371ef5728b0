import NIOSSL
import ReenvioModel

/// The certificate has no DNS name for the host of the URL.
struct WrongHost: Error {}

/// Which hosts a certificate is for (RFC 9525, 6.3): a name by its DNS names alone, where a wildcard covers one
/// whole label, the first, an A-label (`xn--...`) like any other; a literal address by its addresses alone. The common
/// name never counts.
enum CertificateNames {
    static func of(_ certificate: NIOSSLCertificate, cover host: ReceiverURL.Host) -> Bool {
        certificate._subjectAlternativeNames().contains { entry in
            switch host {
            case .name(let name):
                entry.nameType == .dnsName && covers(name, name: String(decoding: entry.contents, as: UTF8.self))
            case .address(let address):
                entry.nameType == .ipAddress && entry.contents.elementsEqual(address.bytes)
            }
        }
    }

    static func covers(_ host: String, name: String) -> Bool {
        let (host, name) = (host.lowercased(), name.lowercased())
        guard name.hasPrefix("*.") else { return name == host }
        guard let dot = host.firstIndex(of: "."), dot != host.startIndex else { return false }
        let parent = name.dropFirst()
        return host[dot...] == parent && parent.dropFirst().contains(".")
    }
}
