//! Members of kernel structs that hooks read. Their offsets differ from kernel to kernel, so user space
//! resolves each by name in the running kernel's BTF and passes it as a read-only global of the same name.

/// Calls `$callback!` with the list `GLOBAL: "struct", "member.path";`.
///
/// The last argument of an entry may give alternatives: the first member that exists is taken. A member that
/// exists in none of the spellings stops the start of the sensor, with its name.
#[macro_export]
macro_rules! kernel_members {
    ($callback:ident) => {
        $callback! {
            FILE_F_INODE: "file", ["f_inode"];
            FILE_F_MODE: "file", ["f_mode"];
            FILE_F_FLAGS: "file", ["f_flags"];
            FILE_PRIVATE_DATA: "file", ["private_data"];
            FILE_DENTRY: "file", ["f_path.dentry"];
            FILE_MNT: "file", ["f_path.mnt"];
            INODE_I_MODE: "inode", ["i_mode"];
            INODE_I_UID: "inode", ["i_uid"];
            INODE_I_INO: "inode", ["i_ino"];
            INODE_I_SB: "inode", ["i_sb"];
            SB_S_DEV: "super_block", ["s_dev"];
            SB_S_MAGIC: "super_block", ["s_magic"];
            SB_S_USER_NS: "super_block", ["s_user_ns"];
            SB_S_ROOT: "super_block", ["s_root"];
            SB_S_MOUNTS: "super_block", ["s_mounts"];
            PATH_MNT: "path", ["mnt"];
            DENTRY_D_PARENT: "dentry", ["d_parent"];
            DENTRY_NAME: "dentry", ["d_name.name"];
            DENTRY_NAME_LEN: "dentry", ["d_name.len"];
            VFSMOUNT_MNT_ROOT: "vfsmount", ["mnt_root"];
            VFSMOUNT_MNT_SB: "vfsmount", ["mnt_sb"];
            VFSMOUNT_MNT_FLAGS: "vfsmount", ["mnt_flags"];
            MOUNT_MNT: "mount", ["mnt"];
            MOUNT_MNT_NS: "mount", ["mnt_ns"];
            MOUNT_NEXT: "mount", ["mnt_next_for_sb", "mnt_instance"];
            MOUNT_MNT_PARENT: "mount", ["mnt_parent"];
            MOUNT_MNT_MOUNTPOINT: "mount", ["mnt_mountpoint"];
            TASK_PID: "task_struct", ["pid"];
            TASK_TGID: "task_struct", ["tgid"];
            TASK_COMM: "task_struct", ["comm"];
            TASK_REAL_PARENT: "task_struct", ["real_parent"];
            TASK_GROUP_LEADER: "task_struct", ["group_leader"];
            TASK_REAL_CRED: "task_struct", ["real_cred"];
            TASK_MM: "task_struct", ["mm"];
            TASK_START_BOOTTIME: "task_struct", ["start_boottime"];
            MM_EXE_FILE: "mm_struct", ["exe_file"];
            CRED_UID: "cred", ["uid"];
            CRED_EUID: "cred", ["euid"];
            CRED_USER_NS: "cred", ["user_ns"];
            USER_NS_PARENT: "user_namespace", ["parent"];
            USER_NS_LEVEL: "user_namespace", ["level"];
            USER_NS_OWNER: "user_namespace", ["owner"];
            USER_NS_INUM: "user_namespace", ["ns.inum"];
            KIOCB_KI_FILP: "kiocb", ["ki_filp"];
            TASK_FILES: "task_struct", ["files"];
            TASK_NSPROXY: "task_struct", ["nsproxy"];
            TASK_CGROUPS: "task_struct", ["cgroups"];
            TASK_LOGINUID: "task_struct", ["loginuid"];
            TASK_SESSIONID: "task_struct", ["sessionid"];
            TASK_EXIT_CODE: "task_struct", ["exit_code"];
            MM_ARG_START: "mm_struct", ["arg_start"];
            MM_ARG_END: "mm_struct", ["arg_end"];
            CRED_CAP_EFFECTIVE: "cred", ["cap_effective"];
            NSPROXY_PID_NS: "nsproxy", ["pid_ns_for_children"];
            NSPROXY_MNT_NS: "nsproxy", ["mnt_ns"];
            PID_NS_INUM: "pid_namespace", ["ns.inum"];
            PID_NS_LEVEL: "pid_namespace", ["level"];
            MNT_NS_INUM: "mnt_namespace", ["ns.inum"];
            MNT_NS_USER_NS: "mnt_namespace", ["user_ns"];
            CSS_SET_DFL_CGRP: "css_set", ["dfl_cgrp"];
            CGROUP_KN: "cgroup", ["kn"];
            KN_NAME: "kernfs_node", ["name"];
            KN_PARENT: "kernfs_node", ["__parent", "parent"];
            FILES_FDT: "files_struct", ["fdt"];
            FDT_FD: "fdtable", ["fd"];
            FDT_MAX_FDS: "fdtable", ["max_fds"];
            PT_REGS_DI: "pt_regs", ["di"];
            PT_REGS_SI: "pt_regs", ["si"];
            PT_REGS_DX: "pt_regs", ["dx"];
            PT_REGS_R10: "pt_regs", ["r10"];
            PT_REGS_R8: "pt_regs", ["r8"];
            PT_REGS_R9: "pt_regs", ["r9"];
            TASK_STACK: "task_struct", ["stack"];
            TASK_FS: "task_struct", ["fs"];
            FS_UMASK: "fs_struct", ["umask"];
            FS_ROOT: "fs_struct", ["root"];
            FS_PWD: "fs_struct", ["pwd"];
            FILE_PATH: "file", ["f_path"];
            PATH_DENTRY: "path", ["dentry"];
            PID_NUMBERS: "pid", ["numbers"];
            SOCKET_SK: "socket", ["sk"];
            SOCKET_TYPE: "socket", ["type"];
            SOCKET_ALLOC_INODE: "socket_alloc", ["vfs_inode"];
            SK_SOCKET: "sock", ["sk_socket"];
            SK_TYPE: "sock", ["sk_type"];
            SK_UID: "sock", ["sk_uid"];
            SK_FAMILY: "sock", ["__sk_common.skc_family"];
            SK_PEER_PID: "sock", ["sk_peer_pid"];
            SK_PEER_CRED: "sock", ["sk_peer_cred"];
            UNIX_ADDR: "unix_sock", ["addr"];
            UNIX_PATH_DENTRY: "unix_sock", ["path.dentry"];
            UNIX_PATH_MNT: "unix_sock", ["path.mnt"];
            UNIX_PEER: "unix_sock", ["peer"];
            UNIX_ADDRESS_LEN: "unix_address", ["len"];
            UNIX_ADDRESS_NAME: "unix_address", ["name"];
            SKB_SK: "sk_buff", ["sk"];
            SKB_DATA: "sk_buff", ["data"];
            SKB_LEN: "sk_buff", ["len"];
            SKB_DATA_LEN: "sk_buff", ["data_len"];
            MSGHDR_NAME: "msghdr", ["msg_name"];
            MSGHDR_NAMELEN: "msghdr", ["msg_namelen"];
            MSGHDR_ITER: "msghdr", ["msg_iter"];
            IPC_ID: "kern_ipc_perm", ["id"];
            IPC_KEY: "kern_ipc_perm", ["key"];
            IPC_UID: "kern_ipc_perm", ["uid"];
            IPC_MODE: "kern_ipc_perm", ["mode"];
            MSG_TYPE: "msg_msg", ["m_type"];
            MSG_SIZE: "msg_msg", ["m_ts"];
            MSG_SECURITY: "msg_msg", ["security"];
            SHM_SEGSZ: "shmid_kernel", ["shm_segsz"];
            BPRM_FILE: "linux_binprm", ["file"];
            BPRM_INTERP: "linux_binprm", ["interp"];
            ITER_TYPE: "iov_iter", ["iter_type", "type"];
            ITER_OFFSET: "iov_iter", ["iov_offset"];
            ITER_COUNT: "iov_iter", ["count"];
            ITER_IOV: "iov_iter", ["__iov", "iov"];
            ITER_UBUF: "iov_iter", ["ubuf", "iov"];
            ITER_NR_SEGS: "iov_iter", ["nr_segs"];
            PIPE_HEAD: "pipe_inode_info", ["head"];
            PIPE_RING_SIZE: "pipe_inode_info", ["ring_size"];
            PIPE_BUFS: "pipe_inode_info", ["bufs"];
            BUFFER_PAGE: "pipe_buffer", ["page"];
            BUFFER_OFFSET: "pipe_buffer", ["offset"];
            BUFFER_LEN: "pipe_buffer", ["len"];
            BUFFER_OPS: "pipe_buffer", ["ops"];
        }
    };
}

/// The value of an enumerator that this kernel does not have: equal to none that it has.
pub const ABSENT: u32 = u32::MAX;

/// Calls `$callback!` with the list `GLOBAL: "enum", "ENUMERATOR";`: values that differ from kernel to
/// kernel.
///
/// One that this kernel does not have is [`ABSENT`](kernel::ABSENT).
#[macro_export]
macro_rules! kernel_enumerators {
    ($callback:ident) => {
        $callback! {
            ITER_IS_IOVEC: "iter_type", "ITER_IOVEC";
            ITER_IS_KVEC: "iter_type", "ITER_KVEC";
            ITER_IS_UBUF: "iter_type", "ITER_UBUF";
            GET_CURRENT_TASK_BTF: "bpf_func_id", "BPF_FUNC_get_current_task_btf";
            GET_TASK_PT_REGS: "bpf_func_id", "BPF_FUNC_task_pt_regs";
        }
    };
}

/// Calls `$callback!` with the list `GLOBAL: "struct", "member";`: one that this kernel does not have is
/// [`ABSENT`](crate::kernel::ABSENT).
#[macro_export]
macro_rules! kernel_optional_members {
    ($callback:ident) => {
        $callback! {
            MOUNT_INSTANCE: "mount", "mnt_instance";
        }
    };
}

/// Calls `$callback!` with the list `GLOBAL: "struct";`: sizes in bytes.
#[macro_export]
macro_rules! kernel_sizes {
    ($callback:ident) => {
        $callback! {
            PAGE_STRUCT: "page";
            PIPE_BUFFER_STRUCT: "pipe_buffer";
        }
    };
}

/// Calls `$callback!` with the list `GLOBAL: "variable";`: addresses of the kernel's own variables.
///
/// One that this kernel does not have, or does not show, is 0.
#[macro_export]
macro_rules! kernel_variables {
    ($callback:ident) => {
        $callback! {
            VMEMMAP_BASE: "vmemmap_base";
            PAGE_OFFSET_BASE: "page_offset_base";
            USER_PAGE_OPS: "user_page_pipe_buf_ops";
        }
    };
}
