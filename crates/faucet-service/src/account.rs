//! What is noted of the account, so that replies need no call to the chain.

use jiff::Timestamp;
use offchain_chains::Account;
use offchain_store::StoreError;
use offchain_store::faucet::AccountRecord;

use crate::Tables;

/// Notes what was seen of the account at `address`.
pub(crate) async fn note(
    tables: &Tables,
    address: &str,
    account: &Account,
) -> Result<(), StoreError> {
    let seen = AccountRecord {
        address: address.to_owned(),
        number: account.number.to_string(),
        balance: account.balance.to_string(),
        fee_balance: account.fee_balance.to_string(),
        sequence: account.sequence,
        height: account.height,
        observed_time: Timestamp::now().into(),
    };
    tables
        .locks
        .note_account(&tables.names.account, &seen)
        .await
}
