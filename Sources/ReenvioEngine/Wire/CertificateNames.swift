import NIOSSL

/// The certificate has no DNS name for the host of the URL.
struct WrongHost: Error {}

/// Which hosts a certificate is for, by its DNS names alone (RFC 9525): no common name, no address, and a wildcard
/// stands for one whole label, the first.
enum CertificateNames {
    static func of(_ certificate: NIOSSLCertificate, cover host: String) -> Bool {
        certificate._subjectAlternativeNames().contains { entry in
            guard entry.nameType == .dnsName else { return false }
            return covers(host, name: String(decoding: entry.contents, as: UTF8.self))
        }
    }

    static func covers(_ host: String, name: String) -> Bool {
        let (host, name) = (host.lowercased(), name.lowercased())
        guard name.hasPrefix("*.") else { return name == host }
        guard let dot = host.firstIndex(of: "."), dot != host.startIndex else { return false }
        let parent = name.dropFirst()
        return host[dot...] == parent && parent.dropFirst().contains(".") && !host.hasPrefix("xn--")
    }
}
