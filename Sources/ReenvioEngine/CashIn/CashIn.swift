package import ReenvioModel
package import ReenvioStore

/// What the platform reports to v3 (`docs/contract.md` 8.4): stored and enqueued in one commit, then sent.
extension Engine {
    /// - Returns: nil where the merchant is no account mirror.
    package func createQRCode(_ draft: QRCodeDraft) async throws -> QRCode? {
        let qrCode = try await store.createQRCode(draft, stamp)
        if qrCode != nil { dispatcher.doorbell.ring() }
        return qrCode
    }

    /// - Returns: the QR code afterwards; nil for an unknown id.
    package func reportCashIn(_ report: CashInReport, qrCodeID: Int64) async throws -> QRCode? {
        let qrCode = try await store.reportCashIn(report, qrCodeID: qrCodeID, stamp)
        if qrCode != nil { dispatcher.doorbell.ring() }
        return qrCode
    }

    package func refundPayout(id: Int64, _ report: RefundReport) async throws -> Refunded {
        let refunded = try await store.refundPayout(id: id, report, stamp)
        if refunded == .applied { dispatcher.doorbell.ring() }
        return refunded
    }

    private var stamp: EventStamp {
        let now = clock.now
        return EventStamp(
            now: now.wall, due: now.engine + options.schedule.firstWait, nonce: entropy.next(),
            trace: Traces.current)
    }
}
