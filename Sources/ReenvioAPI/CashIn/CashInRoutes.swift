import HTTPTypes
package import ReenvioEngine
package import ReenvioModel
import ReenvioStore

/// What the platform reports to v3: QR codes, their events, and refunds of payouts (`docs/contract.md` 8.4).
package struct CashInRoutes: Sendable {
    private let engine: Engine
    private let people: PeopleShown

    package init(_ engine: Engine, audit: CollapsedAudit) {
        self.engine = engine
        people = PeopleShown(engine, audit: audit)
    }

    package var endpoints: [Endpoint] {
        [
            Endpoint(.post, "/v3/cashin/qrcodes", .operatorKey(.payoutsReport), takesBody: true, create),
            Endpoint(.post, "/v3/cashin/qrcodes/{id}/events", .operatorKey(.payoutsReport), takesBody: true, report),
            Endpoint(.post, "/v2/payout/payments/{id}/refund", .operatorKey(.payoutsReport), takesBody: true, refund),
        ]
    }

    private func create(_ call: Call) async throws -> Answer {
        let reading = QRCodeDraft.read(call.body)
        var faults = reading.faults
        var merchant: Merchant?
        if let id = reading.merchantID {
            merchant = try await engine.store.merchant(id: id, accountID: nil)
            if merchant == nil {
                faults.add("merchant_id", "The merchant_id is not associated with your account.")
            } else if merchant?.number == nil {
                faults.add("merchant_id", "The merchant_id has no branch and account number.")
            }
        }
        if merchant?.closedAt != nil { throw Problem.accountClosed }
        guard faults.isEmpty, let draft = reading.draft, let qrCode = try await engine.createQRCode(draft) else {
            throw Problem.invalid(faults)
        }
        return answer(qrCode)
    }

    private func report(_ call: Call) async throws -> Answer {
        let id = try call.id("id", orThrow: .objectNotFound)
        let report: CashInReport
        do {
            report = try CashInReport.parse(call.body, now: engine.clock.wall)
        } catch {
            // A path that names nothing is 404 whatever the body says.
            guard try await engine.store.hasQRCode(id: id) else { throw Problem.objectNotFound }
            throw error
        }
        guard let qrCode = try await engine.reportCashIn(report, qrCodeID: id) else { throw Problem.objectNotFound }
        return answer(qrCode)
    }

    private func answer(_ qrCode: QRCode) -> Answer {
        .json(201) { writer in
            writer.member("qr_code_id", qrCode.id)
            writer.member("status", qrCode.status.rawValue)
        }
    }

    private func refund(_ call: Call) async throws -> Answer {
        let id = try call.id("id", orThrow: .payoutNotFound)
        let report: RefundReport
        do {
            report = try RefundReport.parse(call.body, now: engine.clock.wall)
        } catch {
            guard try await engine.store.payout(id: id, accountID: nil) != nil else { throw Problem.payoutNotFound }
            throw error
        }
        switch try await engine.refundPayout(id: id, report) {
        case .applied: break
        case .notFound: throw Problem.payoutNotFound
        case .notPaid: throw Problem.conflict("Only a paid payout can be refunded.")
        case .alreadyRefunded: throw Problem.conflict("The payout has already been refunded.")
        }
        guard let payout = try await engine.store.payout(id: id, accountID: nil) else { throw Problem.payoutNotFound }
        let shown = people.payout(payout, for: try call.requireCaller())
        return .json { shown.writeMembers(into: &$0) }
    }
}

extension Problem {
    package static let objectNotFound = Problem.notFound("Object not found.")
}
