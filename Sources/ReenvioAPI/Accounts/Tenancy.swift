import ReenvioModel
import ReenvioStore

/// Which merchants a caller acts for: those of its account, or the ones that its key is limited to. What is foreign
/// looks like what does not exist (`docs/contract.md` 9).
extension Caller {
    /// The only merchants that it may act for; nil for every one of its account.
    var merchants: Set<Int64>? {
        guard case .key(let key) = self else { return nil }
        return key.merchants
    }

    func mayUse(merchantID: Int64) -> Bool { merchants?.contains(merchantID) ?? true }

    /// The merchant that a list is limited to by this caller alone, so that an index begins there.
    var onlyMerchantID: Int64? { merchants?.count == 1 ? merchants?.first : nil }

    func sees(_ job: Resend) -> Bool {
        (accountID == nil || accountID == job.accountID) && mayUse(merchantID: job.merchantID)
    }
}

extension Store {
    func merchant(id: Int64, for caller: Caller) async throws -> Merchant? {
        guard caller.mayUse(merchantID: id) else { return nil }
        return try await merchant(id: id, accountID: caller.accountID)
    }

    /// The merchant meant where none is named: the only one that the caller may act for.
    func onlyMerchant(for caller: Caller) async throws -> Merchant? {
        guard let accountID = caller.accountID else { return nil }
        guard caller.merchants != nil else { return try await onlyMerchant(accountID: accountID) }
        guard let id = caller.onlyMerchantID else { return nil }
        return try await merchant(id: id, accountID: accountID)
    }

    func payout(id: Int64, for caller: Caller) async throws -> Payout? {
        guard let payout = try await payout(id: id, accountID: caller.accountID),
            caller.mayUse(merchantID: payout.merchantID)
        else { return nil }
        return payout
    }

    /// Judges a payout before something that knows accounts only: a payout never changes its merchant.
    func isHidden(payoutID: Int64, from caller: Caller) async throws -> Bool {
        if caller.merchants == nil { return false }
        return try await payout(id: payoutID, for: caller) == nil
    }

    /// The same for a receiver.
    func isHidden(receiverID: Int64, from caller: Caller) async throws -> Bool {
        if caller.merchants == nil { return false }
        guard let receiver = try await receiver(id: receiverID, accountID: caller.accountID) else { return true }
        return !caller.mayUse(merchantID: receiver.merchantID)
    }

    /// The merchants to choose from.
    func merchants(for caller: Caller) async throws -> [Merchant] {
        guard let limited = caller.merchants else { return try await merchants(accountID: caller.accountID) }
        var found: [Merchant] = []
        for id in limited.sorted() {
            if let merchant = try await merchant(id: id, accountID: caller.accountID) { found.append(merchant) }
        }
        return found
    }

    func listAudit(
        for caller: Caller, _ page: CursorPage
    ) async throws -> (rows: [AuditRow], next: String?) {
        guard let accountID = caller.accountID else { return try await listAudit(page) }
        return try await listAudit(accountID: accountID, page)
    }
}
