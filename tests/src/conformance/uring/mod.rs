//! The same by `io_uring`: each request submitted plainly, handed to a worker of the kernel (`IOSQE_ASYNC`),
//! and taken up by the kernel's own polling thread (`SQPOLL`).

mod files;
mod ring;
mod sockets;

use std::rc::Rc;

use anyhow::Result;

use super::plan::Plan;
use crate::{
    case::NotHere,
    ring::{Ring as Raw, Way},
};
use ring::Ring;

/// Adds the steps of this file to the plan.
pub fn plan(plan: &mut Plan) -> Result<()> {
    match Raw::new(Way::Plain) {
        Err(error) if error.is::<NotHere>() => {
            plan.absent("every request to io_uring");
            return Ok(());
        }
        tried => tried.map(drop)?,
    }
    plan.plain = false;
    for way in Way::ALL {
        let ring = Rc::new(Ring::new(plan, way)?);
        files::plan(plan, &ring)?;
        sockets::plan(plan, &ring)?;
    }
    Ok(())
}
