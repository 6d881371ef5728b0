import Foundation
import NIOCore
import NIOSSL
import ReenvioTesting
import Testing

/// Certificates made by the `openssl` command when a test first asks, in a directory of their own.
struct Certificates: Sendable {
    /// A certificate with its key, as files.
    struct Identity: Sendable {
        var certificate: String
        var key: String
    }

    /// Made once for all tests of a run.
    private static let made: Result<Certificates, any Error> = Result {
        let certificates = try Certificates()
        atexit { Certificates.remove() }
        return certificates
    }

    static func shared() throws -> Certificates {
        try made.get()
    }

    private static func remove() {
        if case .success(let certificates) = made {
            try? FileManager.default.removeItem(atPath: certificates.directory)
        }
    }

    private let directory: String

    /// The authority's certificate, for `trustRoots`.
    let authority: String
    /// For `good.example` and 127.0.0.1.
    let good: Identity
    /// For `good.example` only.
    let named: Identity
    /// For `*.good.example`.
    let wild: Identity
    /// With wildcards that count for nothing, and an A-label in full.
    let partial: Identity
    /// For 127.0.0.1 only.
    let numbered: Identity
    /// With `good.example` as its common name and no other name.
    let common: Identity
    let expired: Identity
    let selfSigned: Identity

    private init() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "reenvio-certificates-\(UUID())").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        self.directory = directory
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]

        func openssl(_ arguments: [String]) throws {
            try ChildProgram.run("openssl", arguments, in: directory)
        }
        func identity(_ name: String) -> Identity {
            Identity(certificate: "\(directory)/\(name).pem", key: "\(directory)/\(name).key")
        }
        func selfSigned(_ name: String, _ extensions: [String]) throws -> Identity {
            try openssl(
                ["req", "-x509"] + key + ["-keyout", "\(name).key", "-out", "\(name).pem", "-subj", "/CN=\(name)"]
                    + ["-days", "30"] + extensions.flatMap { ["-addext", $0] }
            )
            return identity(name)
        }
        func signed(_ name: String, for names: String?, days: Int) throws -> Identity {
            try openssl(
                ["req"] + key + ["-keyout", "\(name).key", "-out", "\(name).csr", "-subj", "/CN=\(name)"]
                    + (names.map { ["-addext", "subjectAltName=\($0)"] } ?? [])
            )
            try openssl(
                ["x509", "-req", "-in", "\(name).csr", "-out", "\(name).pem", "-days", "\(days)"]
                    + ["-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial"]
                    + ["-copy_extensions", "copy"]
            )
            return identity(name)
        }

        let names = "DNS:good.example,IP:127.0.0.1"
        authority = try selfSigned(
            "authority", ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"]
        ).certificate
        good = try signed("good", for: names, days: 30)
        named = try signed("named", for: "DNS:good.example", days: 30)
        wild = try signed("wild", for: "DNS:*.good.example", days: 30)
        partial = try signed(
            "partial",
            for: "DNS:xn--*.partial.example,DNS:s*.partial.example,DNS:*p.partial.example,DNS:a.*.example,"
                + "DNS:*.*.example,DNS:*,DNS:*.example,DNS:xn--caf-dma.example", days: 30)
        numbered = try signed("numbered", for: "IP:127.0.0.1", days: 30)
        common = try signed("good.example", for: nil, days: 30)
        expired = try signed("expired", for: names, days: -1)
        self.selfSigned = try selfSigned("self-signed", ["subjectAltName=\(names)"])
    }

    /// What a receiver with that certificate speaks TLS with; server names go to `serverNames`.
    static func context(
        _ identity: Identity, serverNames: Watched<[String?]>? = nil,
        change: (inout TLSConfiguration) -> Void = { _ in }
    ) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(identity.certificate).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: identity.key, format: .pem))
        )
        configuration.sslContextCallback = { values, promise in
            serverNames?.change { $0.append(values.serverHostname) }
            promise.succeed(.noChanges)
        }
        change(&configuration)
        return try NIOSSLContext(configuration: configuration)
    }
}
