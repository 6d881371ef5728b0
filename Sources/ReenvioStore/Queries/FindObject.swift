import ReenvioModel

extension Store {
    package func hasQRCode(id: Int64) async throws -> Bool {
        try await engine.lookup { db in
            try db.first("SELECT 1 FROM qr_codes WHERE id = $1", [.int(id)]) { $0.int(0) } != nil
        }
    }
}
