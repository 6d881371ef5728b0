package import ReenvioModel

/// What a step of a search through people's data found.
package struct PartiesPage: Sendable {
    package var payoutIDs: [Int64]
    /// Rows looked at.
    package var seen: Int
    /// Where to go on; nil at the end.
    package var next: PartiesKey?
}

/// The place of a row of people's data.
package struct PartiesKey: Sendable, Equatable {
    package var merchantID: Int64
    package var payoutID: Int64
}

extension Store {
    package static let partiesPerPage = 1_000

    /// Destroys the people's data of payouts, and keeps ids, amounts and history (`docs/contract.md` 14). A resend of
    /// an erased payout counts as failed from then on.
    /// - Returns: the ids that exist, erased now or before.
    package func eraseParties(payoutIDs: [Int64], by requester: Requester, now: Timestamp) async throws -> [Int64] {
        try await engine.write(.intake) { db in
            var wanted = SQLRows([("id", .int)])
            for id in payoutIDs.prefix(Self.partiesPerPage) { wanted.append([.int(id)]) }
            var found: [Int64] = []
            var targets: [(id: Int64, merchantID: Int64, accountID: Int64)] = []
            try db.batch(
                """
                SELECT p.id, p.merchant_id, m.account_id, p.erased_at IS NULL
                FROM payouts p JOIN merchants m ON m.id = p.merchant_id, {rows} WHERE p.id = rows.id
                """, wanted
            ) { row in
                found.append(row.int(0))
                if row.bool(3) { targets.append((row.int(0), row.int(1), row.int(2))) }
            }
            var rows = SQLRows([("id", .int), ("merchant_id", .int), ("kind", .text), ("at", .int)])
            for target in targets {
                rows.append([.int(target.id), .int(target.merchantID), .text("payout"), .time(now)])
            }
            try db.send("UPDATE payouts SET erased_at = rows.at FROM {rows} WHERE payouts.id = rows.id", rows)
            try db.send(
                """
                DELETE FROM parties USING {rows}
                WHERE parties.merchant_id = rows.merchant_id AND parties.kind = rows.kind
                    AND parties.object_id = rows.id
                """, rows)
            for target in targets {
                try EraseEvents(merchantID: target.merchantID, category: .cashOut, objectID: target.id)
                    .run(now: now, in: db)
                let entry = Audit.Entry(
                    at: now, accountID: target.accountID, by: requester, action: "payout.erase",
                    target: "payout \(target.id)")
                try Audit.write(entry, in: db)
            }
            return found
        }
    }

    /// Looks through a page of the sealed rows for a document, as a beneficiary's number or as a PIX key. Nothing
    /// stands in the clear by which it could be found faster.
    package func findParties(document: DocumentNumber, after key: PartiesKey?) async throws -> PartiesPage {
        let rows = try await engine.read { db in
            try db.all(
                """
                SELECT s.merchant_id, s.object_id, p.invoice, s.sealed, s.key_id
                FROM parties s JOIN payouts p ON p.id = s.object_id
                WHERE s.kind = 'payout' AND (s.merchant_id, s.object_id) > ($1, $2)
                ORDER BY s.merchant_id, s.object_id LIMIT $3
                """,
                [.int(key?.merchantID ?? 0), .int(key?.payoutID ?? 0), .int(Self.partiesPerPage)]
            ) { row in
                (
                    key: PartiesKey(merchantID: row.int(0), payoutID: row.int(1)), invoice: row.text(2),
                    sealed: row.blob(3), keyID: row.text(4)
                )
            }
        }
        let matching = try rows.filter { row in
            let context = Self.partiesContext(merchantID: row.key.merchantID, invoice: row.invoice)
            let plain = try sealing.open(row.sealed, keyID: row.keyID, context: context)
            guard case .object(let object) = try JSONParser.parse(plain), let parties = Parties(json: object) else {
                return false
            }
            return parties.names(document: document)
        }
        return PartiesPage(
            payoutIDs: matching.map(\.key.payoutID), seen: rows.count,
            next: rows.count < Self.partiesPerPage ? nil : rows.last?.key)
    }
}
