/* rpc/forward.h - names of the layer's types, for headers that only point at them
 */
#pragma once

typedef struct RpcServer RpcServer;
typedef struct RpcConn RpcConn;
typedef struct RpcMsg RpcMsg;
typedef struct RpcStream RpcStream;
typedef struct RpcTransport RpcTransport;
typedef struct RpcListener RpcListener;
